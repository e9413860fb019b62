using './main.bicep'

// Read from the environment: `azd env set NAME VALUE`, `export NAME=VALUE`, or `$env:NAME = 'VALUE'`. Or copy this file to
// infra/local.bicepparam, which git ignores, and write values in place of the calls. None of them is a secret.

// To be decided for each deployment: without a default, so that the compiler names what is missing, and no deployment changes
// by itself who may write.
param name = readEnvironmentVariable('AZURE_ENV_NAME')
param claimedDomains = readEnvironmentVariable('CLOUD_SYNC__CLAIMED_DOMAINS')
param ssoAccountKey = readEnvironmentVariable('CLOUD_SYNC__SSO_ACCOUNT_KEY')
param performSync = readEnvironmentVariable('CLOUD_SYNC__PERFORM_SYNC')

// Settings of the program; empty for its default.
param syncSchedule = readEnvironmentVariable('SYNC_SCHEDULE', '0 0 2 * * *')
param keyRole = readEnvironmentVariable('CLOUD_SYNC__KEY_ROLE', '')
param fourEyes = readEnvironmentVariable('CLOUD_SYNC__FOUR_EYES', '')
param zivverApiUrl = readEnvironmentVariable('CLOUD_SYNC__ZIVVER_API_URL', '')
param zivverRate = readEnvironmentVariable('CLOUD_SYNC__ZIVVER_RATE', '')
param targetFilter = readEnvironmentVariable('CLOUD_SYNC__TARGET_FILTER', '')
param sourceFilter = readEnvironmentVariable('CLOUD_SYNC__SOURCE_FILTER', '')
param exoUrl = readEnvironmentVariable('CLOUD_SYNC__EXO_URL', '')
param exoPermissions = readEnvironmentVariable('CLOUD_SYNC__EXO_PERMISSIONS', '')
param exoConcurrency = readEnvironmentVariable('CLOUD_SYNC__EXO_CONCURRENCY', '')
param minSourceRatio = readEnvironmentVariable('CLOUD_SYNC__MIN_SOURCE_RATIO', '')
param minTargetRatio = readEnvironmentVariable('CLOUD_SYNC__MIN_TARGET_RATIO', '')
param maxSuspend = readEnvironmentVariable('CLOUD_SYNC__MAX_SUSPEND', '')
param maxDelegateRemovals = readEnvironmentVariable('CLOUD_SYNC__MAX_DELEGATE_REMOVALS', '')
param maxAliasRemovals = readEnvironmentVariable('CLOUD_SYNC__MAX_ALIAS_REMOVALS', '')
param maxRenames = readEnvironmentVariable('CLOUD_SYNC__MAX_RENAMES', '')
param maxNameChanges = readEnvironmentVariable('CLOUD_SYNC__MAX_NAME_CHANGES', '')
param maxStrays = readEnvironmentVariable('CLOUD_SYNC__MAX_STRAYS', '')
param maxIdentityChanges = readEnvironmentVariable('CLOUD_SYNC__MAX_IDENTITY_CHANGES', '')
param maxCreates = readEnvironmentVariable('CLOUD_SYNC__MAX_CREATES', '')
param maxSignInKeyChanges = readEnvironmentVariable('CLOUD_SYNC__MAX_SIGN_IN_KEY_CHANGES', '')
param maxConsecutiveFailures = readEnvironmentVariable('CLOUD_SYNC__MAX_CONSECUTIVE_FAILURES', '')
param fullEvery = readEnvironmentVariable('CLOUD_SYNC__FULL_EVERY', '')
param timeBudget = readEnvironmentVariable('CLOUD_SYNC__TIME_BUDGET', '')
param state = readEnvironmentVariable('CLOUD_SYNC__STATE', '')
param lockLease = readEnvironmentVariable('CLOUD_SYNC__LOCK_LEASE', '')
param keepRuns = readEnvironmentVariable('CLOUD_SYNC__KEEP_RUNS', '')
param keepApplied = readEnvironmentVariable('CLOUD_SYNC__KEEP_APPLIED', '')
param notifyUrlSecret = readEnvironmentVariable('NOTIFY_URL_SECRET', '')
param dashboardUrl = readEnvironmentVariable('CLOUD_SYNC__DASHBOARD_URL', '')
param smtpUrlSecret = readEnvironmentVariable('SMTP_URL_SECRET', '')
param mailFrom = readEnvironmentVariable('CLOUD_SYNC__MAIL_FROM', '')
param mailTo = readEnvironmentVariable('CLOUD_SYNC__MAIL_TO', '')
param mailWhen = readEnvironmentVariable('CLOUD_SYNC__MAIL_WHEN', '')
param graphUrl = readEnvironmentVariable('CLOUD_SYNC__GRAPH_URL', '')
param logLevel = readEnvironmentVariable('CLOUD_SYNC__LOG_LEVEL', '')
param otherSettings = {}

// The deployment.
param identityType = readEnvironmentVariable('IDENTITY_TYPE', 'SystemAssigned')
param signInClientId = readEnvironmentVariable('SIGN_IN_CLIENT_ID', '')
param alertEmail = readEnvironmentVariable('ALERT_EMAIL', '')
param noSuccessHours = int(readEnvironmentVariable('NO_SUCCESS_HOURS', '26'))
param noQuickSuccessHours = int(readEnvironmentVariable('NO_QUICK_SUCCESS_HOURS', '0'))
param operatorPrincipalId = readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')
param recoverVault = bool(readEnvironmentVariable('RECOVER_VAULT', 'false'))
param instanceMemoryMB = 2048
param logRetentionDays = 90
param tags = {}
