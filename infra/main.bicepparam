using './main.bicep'

// Fill in the two without default, or set them in the environment (`azd env set NAME VALUE`).
param name = readEnvironmentVariable('AZURE_ENV_NAME', 'cloud-sync')
param claimedDomains = readEnvironmentVariable('CLOUD_SYNC__CLAIMED_DOMAINS', '')
param ssoAccountKey = readEnvironmentVariable('CLOUD_SYNC__SSO_ACCOUNT_KEY', 'object_id')
param performSync = 'false'
param alertEmail = readEnvironmentVariable('ALERT_EMAIL', '')
param operatorPrincipalId = readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')
