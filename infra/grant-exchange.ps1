#Requires -Version 7.0
<#
.SYNOPSIS
Lets the function app's identity read Exchange Online: the app role Exchange.ManageAsApp, and one role to read with.

.DESCRIPTION
Idempotent: what is there already is left alone. Sign in as Privileged Role Administrator or Global Administrator; for
the role group as Exchange Administrator. Needs the modules Microsoft.Graph.Applications and
Microsoft.Graph.Identity.Governance, and ExchangeOnlineManagement for the role group.

Exit codes: 0 all there, 1 error, 3 something is missing.

.PARAMETER PrincipalId
Object id of the identity: the output principalId of infra/main.bicep.

.PARAMETER ClientId
Client id (application id) of the identity. Looked up when it is left out.

.PARAMETER Role
Recipients (default): a role group in Exchange Online with View-Only Recipients, the smallest role that works.
GlobalReader: the Entra role, which reads the whole tenant. None: only the app role.

.PARAMETER RoleGroupOnly
Leave out what infra/grant-exchange.sh has done already.

.PARAMETER Check
Change nothing; say what is there and what is missing.

.EXAMPLE
./infra/grant-exchange.ps1 -PrincipalId 11111111-2222-3333-4444-555555555555
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory)] [guid] $PrincipalId,
    [string] $ClientId,
    [ValidateSet('Recipients', 'GlobalReader', 'None')] [string] $Role = 'Recipients',
    [switch] $RoleGroupOnly,
    [switch] $Check
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$ExchangeApp = '00000002-0000-0ff1-ce00-000000000000' # Office 365 Exchange Online
$ManageAsApp = 'dc50a0fb-09a3-484d-be87-e023b12c6440'
$GlobalReader = 'f2ef992c-3afb-46b9-b7cf-a126ee74c451'
$RoleGroup = 'Cloud Sync reader'
$script:Missing = $false

function Set-Grant {
    # Reports what is there, or grants it.
    param([bool] $There, [string] $What, [scriptblock] $Grant)
    if ($There) {
        Write-Output "ok       $What"
    }
    elseif ($Check) {
        Write-Output "missing  $What"
        $script:Missing = $true
    }
    else {
        & $Grant | Out-Null
        Write-Output "granted  $What"
    }
}

function Set-AppRole {
    $exchange = Get-MgServicePrincipal -Filter "appId eq '$ExchangeApp'"
    if (-not $exchange) {
        throw 'This tenant has no service principal of Office 365 Exchange Online: does it have Exchange Online?'
    }
    $there = Get-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $PrincipalId -All |
        Where-Object { $_.AppRoleId -eq $ManageAsApp -and $_.ResourceId -eq $exchange.Id }
    Set-Grant -There ([bool] $there) -What 'app role Exchange.ManageAsApp' -Grant {
        New-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $PrincipalId -PrincipalId $PrincipalId `
            -ResourceId $exchange.Id -AppRoleId $ManageAsApp
    }
}

function Set-GlobalReader {
    $there = Get-MgRoleManagementDirectoryRoleAssignment -All `
        -Filter "principalId eq '$PrincipalId' and roleDefinitionId eq '$GlobalReader'"
    Set-Grant -There ([bool] $there) -What 'Entra role Global Reader' -Grant {
        New-MgRoleManagementDirectoryRoleAssignment -PrincipalId $PrincipalId -RoleDefinitionId $GlobalReader -DirectoryScopeId '/'
    }
}

function Set-RoleGroup {
    Import-Module ExchangeOnlineManagement
    Connect-ExchangeOnline -ShowBanner:$false
    $known = Get-ServicePrincipal | Where-Object { "$($_.ObjectId)" -eq "$PrincipalId" }
    Set-Grant -There ([bool] $known) -What 'service principal in Exchange Online' -Grant {
        New-ServicePrincipal -AppId $ClientId -ObjectId $PrincipalId -DisplayName $RoleGroup
    }
    $group = Get-RoleGroup -Identity $RoleGroup -ErrorAction SilentlyContinue
    Set-Grant -There ([bool] $group) -What "role group '$RoleGroup' with View-Only Recipients" -Grant {
        New-RoleGroup -Name $RoleGroup -Roles 'View-Only Recipients' -Description 'Reads mailboxes and their permissions, writes nothing.'
    }
    # Members of a group are known by name or by object id, depending on their kind.
    $names = @("$PrincipalId") + @($known | ForEach-Object { "$($_.Identity)"; "$($_.DisplayName)" })
    $member = if ($group) {
        Get-RoleGroupMember -Identity $RoleGroup |
            Where-Object { $names -contains "$($_.Name)" -or $names -contains "$($_.ExternalDirectoryObjectId)" -or $names -contains "$($_.Identity)" }
    }
    Set-Grant -There ([bool] $member) -What "membership of '$RoleGroup'" -Grant {
        Add-RoleGroupMember -Identity $RoleGroup -Member "$PrincipalId"
    }
    Disconnect-ExchangeOnline -Confirm:$false
}

if (-not $RoleGroupOnly -or -not $ClientId) {
    $scopes = if ($Check) { 'Application.Read.All', 'RoleManagement.Read.Directory' }
    else { 'Application.Read.All', 'AppRoleAssignment.ReadWrite.All', 'RoleManagement.ReadWrite.Directory' }
    Connect-MgGraph -Scopes $scopes -NoWelcome
    if (-not $ClientId) {
        $ClientId = (Get-MgServicePrincipal -ServicePrincipalId $PrincipalId).AppId
    }
}
if (-not $RoleGroupOnly) {
    Set-AppRole
}
if ($RoleGroupOnly -or $Role -eq 'Recipients') {
    Set-RoleGroup
}
elseif ($Role -eq 'GlobalReader') {
    Set-GlobalReader
}
if ($script:Missing) {
    exit 3
}
