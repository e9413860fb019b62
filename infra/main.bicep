// Cloud Sync on Azure Functions, Flex Consumption: everything that one synchronisation needs, and nothing shared.
// infra/main.json is the same as an ARM template; `scripts/bicep-to-arm` makes it.

@description('Name of the function app; the other resources are named after it.')
@minLength(2)
@maxLength(40)
param name string

@description('Where everything is. Choose a region that offers Flex Consumption.')
param location string = resourceGroup().location

@description('Tags for every resource.')
param tags object = {}

@description('Domains that the organisation claimed in Zivver, separated by commas.')
@minLength(3)
param claimedDomains string

@description('object_id where people sign in to Zivver with their Entra object id, else omit.')
@allowed([ 'object_id', 'omit' ])
param ssoAccountKey string

@description('Who may write: false (nobody), on-demand (a person), true (the schedule too).')
@allowed([ 'false', 'on-demand', 'true' ])
param performSync string = 'false'

@description('When the timer runs: NCRONTAB with six fields, UTC.')
param syncSchedule string = '0 0 2 * * *'

@description('Further settings by name without CLOUD_SYNC__, for example { MAX_SUSPEND: \'2%\' }. No secrets: those belong in the vault.')
param settings object = {}

@description('Name of a secret in the vault that holds the address of a webhook for notifications; empty for none.')
param notifyUrlSecret string = ''

@description('Name of a secret in the vault that holds the address of a mail server, smtps://user:password@host:465, for the reports of runs; empty for none. SMTP_FROM and SMTP_TO go into settings.')
param smtpUrlSecret string = ''

@description('SystemAssigned: the identity ends with the app. UserAssigned: it survives the app, and so do its grants in Exchange.')
@allowed([ 'SystemAssigned', 'UserAssigned' ])
param identityType string = 'SystemAssigned'

@description('Memory of an instance.')
@allowed([ 512, 2048, 4096 ])
param instanceMemoryMB int = 2048

@description('Where alerts are mailed to; empty for alerts in the portal only.')
param alertEmail string = ''

@description('Object id of the person who will put the Zivver key into the vault; empty if somebody has that right already.')
param operatorPrincipalId string = ''

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 90

var userAssigned = identityType == 'UserAssigned'
var suffix = uniqueString(resourceGroup().id, name)
var storageName = 'st${suffix}'
var vaultName = 'kv-${suffix}'
var packageContainer = 'app-package'

// Built-in roles.
var roles = {
  blobOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' // Storage Blob Data Owner: the host's own leases and keys, package, state
  queueContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88' // Storage Queue Data Contributor: runs and their poison queue
  secretsUser: '4633458b-17de-408a-b874-0445c86b69e6' // Key Vault Secrets User
  secretsOfficer: 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7' // Key Vault Secrets Officer
  metricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb' // Monitoring Metrics Publisher
}

// Every setting that the program knows, but MANAGED_IDENTITY_CLIENT_ID, which is known only once the identity exists.
var defaults = {
  ZIVVER_API_KEY: '@Microsoft.KeyVault(VaultName=${vaultName};SecretName=zivver-api-key)'
  ZIVVER_API_URL: 'https://app.zivver.com/api'
  CLAIMED_DOMAINS: claimedDomains
  TARGET_FILTER: ''
  SOURCE_FILTER: ''
  PERFORM_SYNC: performSync
  ACCESS_TOKEN: ''
  EXO_URL: 'https://outlook.office365.com'
  EXO_PERMISSIONS: 'get'
  EXO_CONCURRENCY: '16'
  SSO_ACCOUNT_KEY: ssoAccountKey
  MIN_SOURCE_RATIO: '0.5'
  MIN_TARGET_RATIO: '0.5'
  MAX_SUSPEND: '5%,min 5'
  MAX_DELEGATE_REMOVALS: '10%,min 20'
  MAX_ALIAS_REMOVALS: '10%,min 20'
  MAX_RENAMES: '5%,min 5'
  MAX_NAME_CHANGES: '20%,min 20'
  MAX_STRAYS: '0'
  MAX_IDENTITY_CHANGES: '0'
  MAX_CREATES: '20%,min 25'
  MAX_SIGN_IN_KEY_CHANGES: '0'
  MAX_CONSECUTIVE_FAILURES: '20'
  TIME_BUDGET: '9m'
  ZIVVER_RATE: '50/10s'
  STATE: ''
  LOCK_LEASE: '60s'
  KEEP_RUNS: '90'
  KEEP_APPLIED: '400d'
  NOTIFY_URL: empty(notifyUrlSecret) ? '' : '@Microsoft.KeyVault(VaultName=${vaultName};SecretName=${notifyUrlSecret})'
  SMTP_URL: empty(smtpUrlSecret) ? '' : '@Microsoft.KeyVault(VaultName=${vaultName};SecretName=${smtpUrlSecret})'
  SMTP_FROM: ''
  SMTP_TO: ''
  LOG_LEVEL: 'info'
  LOG_DIR: ''
}
var syncSettings = union(defaults, settings)

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = if (userAssigned) {
  name: '${name}-id'
  location: location
  tags: tags
}

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: storageName
  location: location
  tags: tags
  sku: { name: 'Standard_LRS' }
  kind: 'StorageV2'
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: storage
  name: 'default'
  properties: {
    deleteRetentionPolicy: { enabled: true, days: 7 }
    containerDeleteRetentionPolicy: { enabled: true, days: 7 }
  }
}

resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: packageContainer
}

resource state 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: 'cloud-sync'
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2023-05-01' = {
  parent: storage
  name: 'default'
}

resource runs 'Microsoft.Storage/storageAccounts/queueServices/queues@2023-05-01' = {
  parent: queues
  name: 'cloud-sync-runs'
}

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: '${name}-logs'
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: logRetentionDays
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: '${name}-insights'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: logs.id
    DisableLocalAuth: true
  }
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: vaultName
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    enablePurgeProtection: true
  }
}

resource vaultAudit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'audit'
  properties: {
    workspaceId: logs.id
    logs: [
      { categoryGroup: 'audit', enabled: true }
    ]
  }
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: '${name}-plan'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'cloud-sync' })
  kind: 'functionapp,linux'
  identity: userAssigned ? { type: 'UserAssigned', userAssignedIdentities: { '${identity.id}': {} } } : { type: 'SystemAssigned' }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: userAssigned ? identity.id : 'SystemAssigned'
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: userAssigned ? { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identity.id } : { type: 'SystemAssignedIdentity' }
        }
      }
      // 40 is the smallest that Azure accepts. It is no mutex: runs exclude each other through a lock in storage.
      scaleAndConcurrency: { maximumInstanceCount: 40, instanceMemoryMB: instanceMemoryMB }
      runtime: { name: 'custom', version: '1.0' }
    }
    siteConfig: {
      ftpsState: 'Disabled'
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      appSettings: concat([
        { name: 'AzureWebJobsStorage__accountName', value: storage.name }
        { name: 'AzureWebJobsStorage__credential', value: 'managedidentity' }
        { name: 'APPLICATIONINSIGHTS_CONNECTION_STRING', value: insights.properties.ConnectionString }
        { name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING', value: userAssigned ? 'ClientId=${identity.properties.clientId};Authorization=AAD' : 'Authorization=AAD' }
        { name: 'SYNC_SCHEDULE', value: syncSchedule }
        { name: 'CLOUD_SYNC__MANAGED_IDENTITY_CLIENT_ID', value: userAssigned ? identity.properties.clientId : '' }
      ], map(items(syncSettings), s => {
        name: 'CLOUD_SYNC__${s.key}'
        value: s.value
      }), userAssigned ? [
        { name: 'AzureWebJobsStorage__clientId', value: identity.properties.clientId }
      ] : [])
    }
  }
}

resource noFtpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'ftp'
  properties: { allow: false }
}

resource noScmPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'scm'
  properties: { allow: false }
}

// What the identity may do: four roles, each on one resource of this deployment.
resource mayUseBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, name, identityType, roles.blobOwner)
  properties: {
    principalId: userAssigned ? identity.properties.principalId : app.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobOwner)
  }
}

resource mayUseQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, name, identityType, roles.queueContributor)
  properties: {
    principalId: userAssigned ? identity.properties.principalId : app.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueContributor)
  }
}

resource mayReadSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, name, identityType, roles.secretsUser)
  properties: {
    principalId: userAssigned ? identity.properties.principalId : app.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.secretsUser)
  }
}

resource maySendLogs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: insights
  name: guid(insights.id, name, identityType, roles.metricsPublisher)
  properties: {
    principalId: userAssigned ? identity.properties.principalId : app.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.metricsPublisher)
  }
}

resource operatorMayWriteSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorPrincipalId)) {
  scope: vault
  name: guid(vault.id, operatorPrincipalId, roles.secretsOfficer)
  properties: {
    principalId: operatorPrincipalId
    principalType: 'User'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.secretsOfficer)
  }
}

resource mail 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(alertEmail)) {
  name: '${name}-mail'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'CloudSync'
    emailReceivers: [
      { name: 'operator', emailAddress: alertEmail, useCommonAlertSchema: true }
    ]
  }
}

resource runFailed 'Microsoft.Insights/scheduledQueryRules@2022-06-15' = {
  name: '${name}-run-failed'
  location: location
  tags: tags
  properties: {
    displayName: 'Cloud Sync: a run failed'
    description: 'docs/operations.md says what to look at.'
    severity: 1
    enabled: true
    scopes: [ logs.id ]
    evaluationFrequency: 'PT15M'
    windowSize: 'PT30M'
    skipQueryValidation: true
    criteria: {
      allOf: [
        { query: loadTextContent('queries/run-failed.kql'), timeAggregation: 'Count', operator: 'GreaterThan', threshold: 0 }
      ]
    }
    autoMitigate: true
    actions: { actionGroups: empty(alertEmail) ? [] : [ mail.id ] }
  }
}

resource noSuccess 'Microsoft.Insights/scheduledQueryRules@2022-06-15' = {
  name: '${name}-no-success'
  location: location
  tags: tags
  properties: {
    displayName: 'Cloud Sync: no run has succeeded for 26 hours'
    description: 'docs/operations.md says what to look at.'
    severity: 1
    enabled: true
    scopes: [ logs.id ]
    evaluationFrequency: 'PT1H'
    windowSize: 'P2D'
    skipQueryValidation: true
    criteria: {
      allOf: [
        { query: loadTextContent('queries/no-success.kql'), timeAggregation: 'Count', operator: 'GreaterThan', threshold: 0 }
      ]
    }
    autoMitigate: true
    actions: { actionGroups: empty(alertEmail) ? [] : [ mail.id ] }
  }
}

resource held 'Microsoft.Insights/scheduledQueryRules@2022-06-15' = {
  name: '${name}-held'
  location: location
  tags: tags
  properties: {
    displayName: 'Cloud Sync: changes are held and wait for a person'
    description: 'docs/operations.md says how to look at them and how to approve them.'
    severity: 2
    enabled: true
    scopes: [ logs.id ]
    evaluationFrequency: 'PT1H'
    windowSize: 'PT1H'
    skipQueryValidation: true
    criteria: {
      allOf: [
        { query: loadTextContent('queries/held.kql'), timeAggregation: 'Count', operator: 'GreaterThan', threshold: 0 }
      ]
    }
    autoMitigate: false
    actions: { actionGroups: empty(alertEmail) ? [] : [ mail.id ] }
  }
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, name, 'workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Cloud Sync: ${name}'
    category: 'workbook'
    sourceId: logs.id
    serializedData: loadTextContent('workbook.json')
  }
}

@description('For func azure functionapp publish.')
output appName string = app.name

@description('Where the HTTP interface is; it wants a function key.')
output url string = 'https://${app.properties.defaultHostName}/api/SyncHttp'

@description('For infra/grant-exchange.sh and .ps1.')
output principalId string = userAssigned ? identity.properties.principalId : app.identity.principalId

@description('Where the secret zivver-api-key belongs.')
output vaultName string = vault.name
