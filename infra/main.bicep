// Cloud Sync on Azure Functions, Flex Consumption: everything that one synchronisation needs, with no shared resources.
// Each release contains it as an ARM template, cloud-sync.template.json, which needs no Bicep.

@description('Name of the function app; the other resources are named after it.')
@minLength(2)
@maxLength(40)
param name string

@description('Where everything is. Choose a region that offers Flex Consumption.')
param location string = resourceGroup().location

@description('Tags for every resource.')
param tags object = {}

// Settings of the program: docs/settings.md. An empty value means the program's default. Each deployment sets them
// again from the parameters, so change them in main.bicepparam.

@description('Domains that the organisation claimed in Zivver, separated by commas.')
@minLength(3)
param claimedDomains string

@description('Source of the claim ZivverAccountKey in Entra, by which people sign in to Zivver; omit if it is none of these.')
@allowed(['object_id', 'user_principal_name', 'primary_address', 'omit'])
param ssoAccountKey string

@description('Which runs may write: false (none), on-demand (those that a person starts as apply), true (the timer too).')
@allowed(['false', 'on-demand', 'true'])
param performSync string = 'false'

@description('What a caller may do who gives a function key and does not sign in: reader, operator or approver.')
param keyRole string = ''

@description('True: another person than the one whose run held a set must approve it. Needs signInClientId.')
param fourEyes string = ''

@description('When the timer runs: NCRONTAB with six fields, UTC.')
param syncSchedule string = '0 0 2 * * *'

@description('Address of Zivver, up to /scim/v2.')
param zivverApiUrl string = ''

@description('Calls that Zivver accepts, for example 50/10s.')
param zivverRate string = ''

@description('Accounts that are never touched: parts of addresses, or whole ones with *, separated by commas.')
param targetFilter string = ''

@description('Object ids or addresses of groups whose members are synchronised, separated by commas; empty for all mailboxes.')
param sourceFilter string = ''

@description('Address of Exchange Online; another one in national clouds.')
param exoUrl string = ''

@description('How mailbox permissions are read: get or batch.')
param exoPermissions string = ''

@description('The most requests in flight towards Exchange Online.')
param exoConcurrency string = ''

@description('Below this share of the mailboxes of the last good run, everything that takes access away is held.')
param minSourceRatio string = ''

@description('Below this share of the known accounts, the lists of Zivver are not believed.')
param minTargetRatio string = ''

@description('Limit of suspended users and emptied functional accounts in 24 hours: 25, 5%, or 5%,min 5.')
param maxSuspend string = ''

@description('Limit of removed delegates and members.')
param maxDelegateRemovals string = ''

@description('Limit of removed aliases.')
param maxAliasRemovals string = ''

@description('Limit of changed addresses.')
param maxRenames string = ''

@description('Limit of changed display names.')
param maxNameChanges string = ''

@description('Limit of suspended accounts that never had a mailbox.')
param maxStrays string = ''

@description('Limit of accounts that would go to another object id.')
param maxIdentityChanges string = ''

@description('Limit of created accounts.')
param maxCreates string = ''

@description('Limit of users whose sign-in key is written for the first time.')
param maxSignInKeyChanges string = ''

@description('A run stops after so many failures in a row.')
param maxConsecutiveFailures string = ''

@description('Where syncSchedule is more frequent than this, runs in between are quick ones, which read no permissions: 20h by default.')
param fullEvery string = ''

@description('How long one invocation works before it hands on; below functionTimeout in host.json.')
param timeBudget string = ''

@description('Where state is kept; empty for the container cloud-sync of this deployment.')
param state string = ''

@description('How long a run that died keeps the next one waiting.')
param lockLease string = ''

@description('How many runs that wrote nothing are kept.')
param keepRuns string = ''

@description('How long a run that wrote is kept and can be undone.')
param keepApplied string = ''

@description('Name of a secret in the vault that holds the address of a webhook for notifications; empty for none.')
param notifyUrlSecret string = ''

@description('Where people open the dashboard, if not under the name that Azure serves the app by; messages link to it.')
param dashboardUrl string = ''

@description('Name of a secret in the vault that holds the address of a mail server, smtps://user:password@host:465, that sends in place of Microsoft Graph; empty for none.')
param smtpUrlSecret string = ''

@description('Sender of the reports of runs; empty for no mails.')
param mailFrom string = ''

@description('Receivers of these mails, separated by commas.')
param mailTo string = ''

@description('After which runs a mail is sent: each-run, changes or attention.')
param mailWhen string = ''

@description('Address of Microsoft Graph; another one in national clouds.')
param graphUrl string = ''

@description('What is logged: error, warn, info, debug or trace.')
param logLevel string = ''

@description('Further app settings by their full names, for example { OTEL_EXPORTER_OTLP_ENDPOINT: \'https://otlp.corp.example\' }. No secrets.')
param otherSettings object = {}

// The deployment itself.

@description('SystemAssigned: the identity ends with the app. UserAssigned: it survives the app, and so do its grants in Exchange.')
@allowed(['SystemAssigned', 'UserAssigned'])
param identityType string = 'SystemAssigned'

@description('Application (client) id of the app registration in Microsoft Entra with which people sign in to the app, docs/deploy.md; empty for none. The app requires a function key in both cases.')
param signInClientId string = ''

@description('Memory of an instance.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Where alerts are mailed to; empty for alerts in the portal only.')
param alertEmail string = ''

@description('Hours without a successful run after which an alert is raised: a little more than the longest interval of syncSchedule, 46 at most, since a query sees two days. 0 for no alert.')
param noSuccessHours int = 26

@description('Hours without any successful run, quick or full, after which an alert is raised: three times the interval of a syncSchedule that makes quick runs. 0 for no alert.')
param noQuickSuccessHours int = 0

@description('Object id of the person or service principal that will put the Zivver key into the vault; empty if that right is there already.')
param operatorPrincipalId string = ''

@description('True for one deployment after the resource group was deleted: brings back the deleted vault, whose name is taken for 90 days.')
param recoverVault bool = false

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 90

@description('Time of this deployment; leave it out.')
param deployedAt string = utcNow('yyyy-MM-ddTHH:mm:ssZ')

var userAssigned = identityType == 'UserAssigned'
var suffix = uniqueString(resourceGroup().id, name)
var storageName = 'st${suffix}'
var vaultName = 'kv-${suffix}'
var packageContainer = 'app-package'
var clientId = userAssigned ? identity!.properties.clientId : ''
var principalId = userAssigned ? identity!.properties.principalId : app.identity.principalId

// All settings except ACCESS_TOKEN and LOG_DIR, which are for a developer's computer, and MANAGED_IDENTITY_CLIENT_ID,
// which is known only after the identity exists.
var settings = union(otherSettings, {
  CLOUD_SYNC__ZIVVER_API_KEY: '@Microsoft.KeyVault(VaultName=${vaultName};SecretName=zivver-api-key)'
  CLOUD_SYNC__ZIVVER_API_URL: zivverApiUrl
  CLOUD_SYNC__CLAIMED_DOMAINS: claimedDomains
  CLOUD_SYNC__TARGET_FILTER: targetFilter
  CLOUD_SYNC__SOURCE_FILTER: sourceFilter
  CLOUD_SYNC__PERFORM_SYNC: performSync
  CLOUD_SYNC__KEY_ROLE: keyRole
  CLOUD_SYNC__FOUR_EYES: fourEyes
  CLOUD_SYNC__EXO_URL: exoUrl
  CLOUD_SYNC__EXO_PERMISSIONS: exoPermissions
  CLOUD_SYNC__EXO_CONCURRENCY: exoConcurrency
  CLOUD_SYNC__SSO_ACCOUNT_KEY: ssoAccountKey
  CLOUD_SYNC__MIN_SOURCE_RATIO: minSourceRatio
  CLOUD_SYNC__MIN_TARGET_RATIO: minTargetRatio
  CLOUD_SYNC__MAX_SUSPEND: maxSuspend
  CLOUD_SYNC__MAX_DELEGATE_REMOVALS: maxDelegateRemovals
  CLOUD_SYNC__MAX_ALIAS_REMOVALS: maxAliasRemovals
  CLOUD_SYNC__MAX_RENAMES: maxRenames
  CLOUD_SYNC__MAX_NAME_CHANGES: maxNameChanges
  CLOUD_SYNC__MAX_STRAYS: maxStrays
  CLOUD_SYNC__MAX_IDENTITY_CHANGES: maxIdentityChanges
  CLOUD_SYNC__MAX_CREATES: maxCreates
  CLOUD_SYNC__MAX_SIGN_IN_KEY_CHANGES: maxSignInKeyChanges
  CLOUD_SYNC__MAX_CONSECUTIVE_FAILURES: maxConsecutiveFailures
  CLOUD_SYNC__FULL_EVERY: fullEvery
  CLOUD_SYNC__TIME_BUDGET: timeBudget
  CLOUD_SYNC__ZIVVER_RATE: zivverRate
  CLOUD_SYNC__STATE: state
  CLOUD_SYNC__LOCK_LEASE: lockLease
  CLOUD_SYNC__KEEP_RUNS: keepRuns
  CLOUD_SYNC__KEEP_APPLIED: keepApplied
  CLOUD_SYNC__NOTIFY_URL: empty(notifyUrlSecret) ? '' : '@Microsoft.KeyVault(VaultName=${vaultName};SecretName=${notifyUrlSecret})'
  CLOUD_SYNC__DASHBOARD_URL: dashboardUrl
  CLOUD_SYNC__MAIL_FROM: mailFrom
  CLOUD_SYNC__MAIL_TO: mailTo
  CLOUD_SYNC__MAIL_WHEN: mailWhen
  CLOUD_SYNC__GRAPH_URL: graphUrl
  CLOUD_SYNC__SMTP_URL: empty(smtpUrlSecret) ? '' : '@Microsoft.KeyVault(VaultName=${vaultName};SecretName=${smtpUrlSecret})'
  CLOUD_SYNC__LOG_LEVEL: logLevel
  SYNC_SCHEDULE: syncSchedule
})

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

resource stateContainer 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
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

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' = {
  name: vaultName
  location: location
  tags: tags
  properties: {
    createMode: recoverVault ? 'recover' : 'default'
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
  identity: userAssigned
    ? { type: 'UserAssigned', userAssignedIdentities: { '${identity.id}': {} } }
    : { type: 'SystemAssigned' }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: userAssigned ? identity.id : 'SystemAssigned'
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: userAssigned
            ? { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identity.id }
            : { type: 'SystemAssignedIdentity' }
        }
      }
      // 40 is the smallest number that Azure accepts. It does not exclude parallel runs; a lock in storage does.
      scaleAndConcurrency: { maximumInstanceCount: 40, instanceMemoryMB: instanceMemoryMB }
      runtime: { name: 'custom', version: '1.0' }
    }
    // Flex Consumption refuses what it does not have, such as settings of FTP (error 51021).
    siteConfig: {
      minTlsVersion: '1.2'
      appSettings: concat(
        [
          { name: 'AzureWebJobsStorage__accountName', value: storage.name }
          { name: 'AzureWebJobsStorage__credential', value: 'managedidentity' }
          { name: 'APPLICATIONINSIGHTS_CONNECTION_STRING', value: insights.properties.ConnectionString }
          {
            name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING'
            value: userAssigned ? 'ClientId=${clientId};Authorization=AAD' : 'Authorization=AAD'
          }
          { name: 'CLOUD_SYNC__MANAGED_IDENTITY_CLIENT_ID', value: clientId }
          // `check` compares the settings with these.
          { name: 'DEPLOYED_SETTINGS', value: string(settings) }
        ],
        map(items(settings), setting => { name: setting.key, value: setting.value }),
        userAssigned ? [{ name: 'AzureWebJobsStorage__clientId', value: clientId }] : []
      )
    }
  }
  // Azure looks for the container when it creates the app.
  dependsOn: [packages]
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

// App Service authentication. The host, and programs with a function key, do not sign in.
resource signIn 'Microsoft.Web/sites/config@2024-04-01' = if (!empty(signInClientId)) {
  parent: app
  name: 'authsettingsV2'
  properties: {
    platform: { enabled: true }
    globalValidation: { requireAuthentication: false, unauthenticatedClientAction: 'AllowAnonymous' }
    httpSettings: { requireHttps: true }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        // Without a client secret: Entra issues an id token, and no token for another service.
        registration: {
          clientId: signInClientId
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: { allowedAudiences: [signInClientId] }
      }
    }
    login: { tokenStore: { enabled: false } }
  }
}

module roles 'roles.bicep' = {
  name: '${name}-roles'
  params: {
    principalId: principalId
    operatorPrincipalId: operatorPrincipalId
    storageName: storage.name
    vaultName: vault.name
    insightsName: insights.name
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
    scopes: [logs.id]
    evaluationFrequency: 'PT15M'
    windowSize: 'PT30M'
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: loadTextContent('queries/run-failed.kql')
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
        }
      ]
    }
    autoMitigate: true
    actions: { actionGroups: empty(alertEmail) ? [] : [mail.id] }
  }
}

// The file contains example values for the two values of a deployment, so that it can be used without changes.
var noSuccessQuery = replace(
  replace(loadTextContent('queries/no-success.kql'), '26h', '${noSuccessHours}h'),
  '2026-01-01T00:00:00Z',
  deployedAt
)

resource noSuccess 'Microsoft.Insights/scheduledQueryRules@2022-06-15' = {
  name: '${name}-no-success'
  location: location
  tags: tags
  properties: {
    displayName: 'Cloud Sync: no run has succeeded for ${noSuccessHours} hours'
    description: 'docs/operations.md says what to look at.'
    severity: 1
    enabled: noSuccessHours > 0
    scopes: [logs.id]
    evaluationFrequency: 'PT1H'
    windowSize: 'P2D'
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: noSuccessQuery
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
        }
      ]
    }
    autoMitigate: true
    actions: { actionGroups: empty(alertEmail) ? [] : [mail.id] }
  }
}

var noQuickSuccessQuery = replace(
  replace(loadTextContent('queries/no-quick-success.kql'), '3h', '${noQuickSuccessHours}h'),
  '2026-01-01T00:00:00Z',
  deployedAt
)

resource noQuickSuccess 'Microsoft.Insights/scheduledQueryRules@2022-06-15' = {
  name: '${name}-no-quick-success'
  location: location
  tags: tags
  properties: {
    displayName: 'Cloud Sync: no run, quick or full, has succeeded for ${noQuickSuccessHours} hours'
    description: 'docs/operations.md says what to look at.'
    severity: 1
    enabled: noQuickSuccessHours > 0
    scopes: [logs.id]
    evaluationFrequency: 'PT15M'
    windowSize: 'P1D'
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: noQuickSuccessQuery
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
        }
      ]
    }
    autoMitigate: true
    actions: { actionGroups: empty(alertEmail) ? [] : [mail.id] }
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
    scopes: [logs.id]
    evaluationFrequency: 'PT1H'
    windowSize: 'PT1H'
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: loadTextContent('queries/held.kql')
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
        }
      ]
    }
    autoMitigate: false
    actions: { actionGroups: empty(alertEmail) ? [] : [mail.id] }
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
output principalId string = principalId

@description('Where the secret zivver-api-key belongs.')
output vaultName string = vault.name
