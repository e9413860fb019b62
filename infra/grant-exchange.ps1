#Requires -Version 7.0

<#
.SYNOPSIS
Lets the function app's identity read Exchange Online: the app role Exchange.ManageAsApp, and one role to read with.

.DESCRIPTION
Idempotent: what is there already is left alone. "granted" is said of what was seen to be there after it was granted.

The app role and the Entra role need Privileged Role Administrator or Global Administrator, and the modules
Microsoft.Graph.Applications and Microsoft.Graph.Identity.Governance. The role group needs Exchange Administrator and the
module ExchangeOnlineManagement; with -Check, View-Only Organization Management is enough.

Exit codes: 0 all there, 1 error, 3 something is missing. docs/security.md lists every message.

.PARAMETER PrincipalId
Object id of the identity: the output principalId of infra/main.bicep.

.PARAMETER ClientId
Client id (application id) of the identity. Looked up when it is left out.

.PARAMETER Role
Recipients (default): a role group in Exchange Online with View-Only Recipients, the smallest role that works.
GlobalReader: the Entra role, which reads the whole tenant. None: only the app role.

.PARAMETER RoleGroupOnly
Leave out what infra/grant-exchange.sh has done already.

.PARAMETER Mail
The app role Mail.Send too, for reports by mail. It may send as every mailbox until an application access policy or a scoped
role restricts it: docs/deploy.md.

.PARAMETER Check
Change nothing; say what is there and what is missing.

.PARAMETER RetrySeconds
Seconds between tries while something new is not found yet.

.EXAMPLE
./infra/grant-exchange.ps1 -PrincipalId 11111111-2222-3333-4444-555555555555
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory)] [guid] $PrincipalId,
    [string] $ClientId,
    [ValidateSet('Recipients', 'GlobalReader', 'None')] [string] $Role = 'Recipients',
    [switch] $RoleGroupOnly,
    [switch] $Mail,
    [switch] $Check,
    [ValidateRange(0, 600)] [int] $RetrySeconds = 10
)

Set-StrictMode -Version Latest
# This does not apply to functions of modules, which most cmdlets of Graph and Exchange are, so each call sets it again.
$ErrorActionPreference = 'Stop'

$ExchangeApp = '00000002-0000-0ff1-ce00-000000000000' # Office 365 Exchange Online
$ManageAsApp = 'dc50a0fb-09a3-484d-be87-e023b12c6440'
$GraphApp = '00000003-0000-0000-c000-000000000000' # Microsoft Graph
$MailSend = 'b633e1c5-b582-4048-a93e-9f11b44c7e96'
$GlobalReader = 'f2ef992c-3afb-46b9-b7cf-a126ee74c451'
$RoleGroup = 'Cloud Sync reader'
$ReadRole = 'View-Only Recipients'
$Tries = 4
$NotFound = 'couldn.t be found|could not be found|does not exist|not found|NotFound'
# The properties in which Exchange Online has the ids of a service principal or member, depending on its kind.
$IdFields = 'ObjectId', 'ExternalDirectoryObjectId', 'AppId', 'ExchangeObjectId', 'Guid', 'Identity', 'Id', 'Name'
$script:Missing = $false
$script:Connected = $false
$script:IsMember = $false

function Get-Field {
    # The text of a property; empty if this kind of object does not have it.
    param($From, [string] $Name)
    $property = $From.PSObject.Properties[$Name]
    if ($property) { "$($property.Value)" } else { '' }
}

function Get-Id {
    # The GUIDs that identify an object. A display name is not an id, since several identities can have the same one.
    param($From)
    # Of a path only the last part: the others can name what several objects share, such as the tenant.
    foreach ($name in $IdFields) {
        $id = [guid]::Empty
        if ([guid]::TryParse(((Get-Field $From $name) -split '[\\/]')[-1], [ref] $id) -and $id -ne [guid]::Empty) { "$id" }
    }
}

function Invoke-Patiently {
    # A new object in one part of the service is not found in another part for some minutes.
    param([scriptblock] $Action)
    for ($try = 1; ; $try++) {
        try {
            return & $Action
        }
        catch {
            if ($try -ge $Tries -or "$_" -notmatch $NotFound) { throw }
            Start-Sleep -Seconds $RetrySeconds
        }
    }
}

function Set-Grant {
    # Reports what exists. Otherwise grants it and asks again, since only the second answer proves the grant.
    param([string] $What, [scriptblock] $Ask, [scriptblock] $Grant)
    if (& $Ask) {
        Write-Output "ok       $What"
        return
    }
    if ($Check) {
        Write-Output "missing  $What"
        $script:Missing = $true
        return
    }
    Invoke-Patiently $Grant | Out-Null
    for ($try = 1; $try -le $Tries; $try++) {
        if (& $Ask) {
            Write-Output "granted  $What"
            return
        }
        if ($try -lt $Tries) { Start-Sleep -Seconds $RetrySeconds }
    }
    throw "$What was requested and is not there yet: run this again in some minutes"
}

function Set-AppRole {
    param([string] $ResourceId, [string] $RoleId, [string] $Name)
    Set-Grant -What "app role $Name" -Ask {
        [bool] (Invoke-Patiently { Get-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $PrincipalId -All -ErrorAction Stop } |
                Where-Object { $_.AppRoleId -eq $RoleId -and $_.ResourceId -eq $ResourceId })
    } -Grant {
        New-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $PrincipalId -PrincipalId $PrincipalId `
            -ResourceId $ResourceId -AppRoleId $RoleId -ErrorAction Stop
    }
}

function Set-Reading {
    $exchange = Get-MgServicePrincipal -Filter "appId eq '$ExchangeApp'" -ErrorAction Stop
    if (-not $exchange) {
        throw 'this tenant has no service principal of Office 365 Exchange Online: does it have Exchange Online?'
    }
    Set-AppRole -ResourceId $exchange.Id -RoleId $ManageAsApp -Name 'Exchange.ManageAsApp'
}

function Set-Mail {
    $graph = Get-MgServicePrincipal -Filter "appId eq '$GraphApp'" -ErrorAction Stop
    if (-not $graph) {
        throw 'this tenant has no service principal of Microsoft Graph'
    }
    Set-AppRole -ResourceId $graph.Id -RoleId $MailSend -Name 'Mail.Send'
    Write-Output 'note     Mail.Send may send as every mailbox: restrict it to one, docs/deploy.md, "Reports by mail"'
}

function Set-GlobalReader {
    Set-Grant -What 'Entra role Global Reader' -Ask {
        [bool] (Get-MgRoleManagementDirectoryRoleAssignment -All -ErrorAction Stop `
                -Filter "principalId eq '$PrincipalId' and roleDefinitionId eq '$GlobalReader'")
    } -Grant {
        New-MgRoleManagementDirectoryRoleAssignment -PrincipalId $PrincipalId -RoleDefinitionId $GlobalReader `
            -DirectoryScopeId '/' -ErrorAction Stop
    }
}

function Get-ReaderPrincipal {
    Get-ServicePrincipal -ErrorAction Stop | Where-Object { (Get-Field $_ 'ObjectId') -eq "$PrincipalId" }
}

function Get-ReaderGroup {
    try {
        Get-RoleGroup -Identity $RoleGroup -ErrorAction Stop
    }
    catch {
        if ("$_" -notmatch $NotFound) { throw }
    }
}

function Test-ReaderMember {
    $ids = @("$PrincipalId") + @(Get-ReaderPrincipal | ForEach-Object { Get-Id $_ })
    [bool] (Get-RoleGroupMember -Identity $RoleGroup -ErrorAction Stop |
            Where-Object { @(Get-Id $_ | Where-Object { $ids -contains $_ }).Count -gt 0 })
}

function Set-RoleGroup {
    Connect-ExchangeOnline -ShowBanner:$false -ErrorAction Stop
    $script:Connected = $true
    Set-Grant -What 'service principal in Exchange Online' -Ask {
        [bool] (Get-ReaderPrincipal)
    } -Grant {
        # The name only helps people to distinguish identities. It is not used for look-ups.
        New-ServicePrincipal -AppId $ClientId -ObjectId "$PrincipalId" -DisplayName "Cloud Sync $PrincipalId" -ErrorAction Stop
    }
    Set-Grant -What "role group '$RoleGroup' with $ReadRole" -Ask {
        $group = Get-ReaderGroup
        [bool] ($group -and @($group.Roles | Where-Object { "$_" -eq $ReadRole }).Count -gt 0)
    } -Grant {
        if (Get-ReaderGroup) {
            New-ManagementRoleAssignment -SecurityGroup $RoleGroup -Role $ReadRole -ErrorAction Stop
        }
        else {
            New-RoleGroup -Name $RoleGroup -Roles $ReadRole -ErrorAction Stop `
                -Description 'Reads mailboxes and their permissions, writes nothing.'
        }
    }
    foreach ($other in @(Get-ReaderGroup | ForEach-Object { $_.Roles } | Where-Object { "$_" -ne $ReadRole })) {
        Write-Output "excess   role $other of the role group '$RoleGroup': remove it, it is not needed"
    }
    Set-Grant -What "membership of '$RoleGroup'" -Ask {
        $script:IsMember -or ((Get-ReaderGroup) -and (Test-ReaderMember))
    } -Grant {
        try {
            Add-RoleGroupMember -Identity $RoleGroup -Member "$PrincipalId" -ErrorAction Stop
        }
        catch {
            # A kind of member whose ids are not in the list.
            if ("$_" -notmatch 'already a member') { throw }
            $script:IsMember = $true
        }
    }
}

function Test-Module {
    # Checks for one command of each module, since PowerShell loads the module with it.
    $needed = [ordered] @{}
    if ($NeedsGraph) { $needed['Microsoft.Graph.Applications'] = 'Get-MgServicePrincipal' }
    if ($Role -eq 'GlobalReader') { $needed['Microsoft.Graph.Identity.Governance'] = 'Get-MgRoleManagementDirectoryRoleAssignment' }
    if ($Role -eq 'Recipients') { $needed['ExchangeOnlineManagement'] = 'Connect-ExchangeOnline' }
    foreach ($module in $needed.Keys) {
        if (-not (Get-Command $needed[$module] -ErrorAction SilentlyContinue)) {
            throw "the module $module is not installed: Install-Module $module -Scope CurrentUser"
        }
    }
}

function Get-Scope {
    # Only the permissions that this call needs.
    'Application.Read.All'
    if ((-not $RoleGroupOnly -or $Mail) -and -not $Check) { 'AppRoleAssignment.ReadWrite.All' }
    if ($Role -eq 'GlobalReader') {
        if ($Check) { 'RoleManagement.Read.Directory' } else { 'RoleManagement.ReadWrite.Directory' }
    }
}

function Get-Reason {
    # The cause and the remedy. Exchange Online hides cmdlets that the caller may not use.
    param([string] $Text)
    switch -Regex ($Text) {
        'Enable-OrganizationCustomization' {
            return "${Text}: this tenant was never customised; run Enable-OrganizationCustomization as Exchange Administrator, and this again in an hour"
        }
        # Both modules bring their own library for signing in, and the second one can get that of the first.
        'Method not found|Could not load (file or assembly|type)|RuntimeBroker|Object reference not set' {
            return "${Text}: the modules of Graph and Exchange do not work in one session here; run -Role None in a new PowerShell, then -RoleGroupOnly with -ClientId in another"
        }
        'Authorization_RequestDenied|Insufficient privileges|Forbidden|\b403\b|[Aa]ccess.?[Dd]enied|isn.t within your current write scopes|is not recognized as a name of a cmdlet' {
            return "${Text}: not allowed; sign in as Privileged Role Administrator for the app role, and as Exchange Administrator for the role group"
        }
        $NotFound {
            return "${Text}: something new is not found for some minutes; run this again then"
        }
    }
    $Text
}

$status = 0
$NeedsGraph = -not $RoleGroupOnly -or -not $ClientId -or $Mail
try {
    if ($RoleGroupOnly -and $Role -ne 'Recipients') {
        throw '-RoleGroupOnly makes the role group: leave out -Role'
    }
    Test-Module
    if ($NeedsGraph) {
        Connect-MgGraph -Scopes @(Get-Scope) -NoWelcome -ErrorAction Stop | Out-Null
        if (-not $ClientId) {
            $ClientId = (Invoke-Patiently { Get-MgServicePrincipal -ServicePrincipalId $PrincipalId -ErrorAction Stop }).AppId
        }
    }
    if (-not $RoleGroupOnly) { Set-Reading }
    if ($Mail) { Set-Mail }
    if ($Role -eq 'Recipients') { Set-RoleGroup }
    if ($Role -eq 'GlobalReader') { Set-GlobalReader }
    if ($script:Missing) { $status = 3 }
}
catch {
    Write-Error -Message "error: $(Get-Reason "$_")" -ErrorAction Continue
    $status = 1
}
finally {
    if ($script:Connected) { Disconnect-ExchangeOnline -Confirm:$false -ErrorAction SilentlyContinue }
}
exit $status
