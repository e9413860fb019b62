#!/usr/bin/env bash
# Lets the identity of the function app read Exchange Online: the app role Exchange.ManageAsApp, and one role for
# reading. Idempotent: existing grants stay as they are. docs/security.md lists every message with its exit code.
set -euo pipefail

readonly EXCHANGE_APP='00000002-0000-0ff1-ce00-000000000000' # Office 365 Exchange Online
readonly MANAGE_AS_APP='dc50a0fb-09a3-484d-be87-e023b12c6440'
readonly GRAPH_APP='00000003-0000-0000-c000-000000000000' # Microsoft Graph
readonly MAIL_SEND='b633e1c5-b582-4048-a93e-9f11b44c7e96'
readonly GLOBAL_READER='f2ef992c-3afb-46b9-b7cf-a126ee74c451'
# What `ask` returns for an object that does not exist.
readonly NOT_FOUND=44
readonly TRIES=3

usage() {
    cat <<'USAGE'
usage: infra/grant-exchange.sh (--resource-group GROUP --app NAME | --principal-id OBJECT_ID)
                               [--role recipients|global-reader|none] [--mail] [--check]

  --role recipients     the smallest role that works, and the default: a role group in Exchange Online with
                        View-Only Recipients. Made by grant-exchange.ps1 if pwsh is installed, else the
                        commands are printed.
  --role global-reader  the Entra role Global Reader: no PowerShell, but it reads the whole tenant.
  --role none           only the app role Exchange.ManageAsApp; directory roles are not read.
  --mail                the app role Mail.Send too, for reports by mail. It may send as every mailbox until an application
                        access policy or a scoped role restricts it: docs/deploy.md.
  --check               change nothing; say what is there and what is missing.

Needs the Azure CLI, signed in as Privileged Role Administrator or Global Administrator. The role group needs
PowerShell 7 with the module ExchangeOnlineManagement, and Exchange Administrator, besides.

Exit codes: 0 all there, 1 error, 2 usage, 3 something is missing or left to do.
USAGE
}

die() {
    printf 'error: %s\n' "$1" >&2
    exit "${2:-1}"
}

group='' app='' principal='' role='recipients' mail=false check=false missing=false
while (($#)); do
    case "$1" in
    --resource-group | -g | --app | -n | --principal-id | --role)
        (($# > 1)) || die "$1 needs a value" 2
        case "$1" in
        --resource-group | -g) group="$2" ;;
        --app | -n) app="$2" ;;
        --principal-id) principal="$2" ;;
        --role) role="$2" ;;
        esac
        shift 2
        ;;
    --mail)
        mail=true
        shift
        ;;
    --check)
        check=true
        shift
        ;;
    --help | -h)
        usage
        exit 0
        ;;
    *)
        usage >&2
        die "not understood: $1" 2
        ;;
    esac
done
[[ "$role" =~ ^(recipients|global-reader|none)$ ]] || die '--role is recipients, global-reader or none' 2
if [[ -z "$principal" && (-z "$group" || -z "$app") ]]; then
    usage >&2
    die 'say which identity: --resource-group and --app, or --principal-id' 2
fi
command -v az >/dev/null || die 'the Azure CLI is not installed: https://learn.microsoft.com/cli/azure/install-azure-cli'

# Runs az with the arguments from the third on. The first argument is the purpose, the second is who may do it; both are
# for messages. Prints the answer. The error output of az decides which message is shown.
ask() {
    local what="$1" who="$2" said='' status=0
    shift 2
    { said="$(az "$@" 2>&1 >&3)" || status=$?; } 3>&1
    ((status != 0)) || return 0
    case "$said" in
    *'az login'*)
        printf '%s\n' "$said" >&2
        die 'the Azure CLI is not signed in, or its sign-in has expired: run az login'
        ;;
    *Authorization_RequestDenied* | *'Insufficient privileges'* | *AuthorizationFailed* | *Forbidden*)
        printf '%s\n' "$said" >&2
        die "not allowed to $what: sign in as $who"
        ;;
    *ResourceNotFound* | *ResourceGroupNotFound* | *'Unable to find App'* | *"doesn't exist"* | *'does not exist'*)
        return "$NOT_FOUND"
        ;;
    esac
    printf '%s\n' "$said" >&2
    die "cannot $what: the message of az is above"
}

# Microsoft Graph does not know a new identity for some minutes.
ask_patiently() {
    local try status
    for ((try = 1; ; try++)); do
        status=0
        ask "$@" || status=$?
        ((status == NOT_FOUND && try < TRIES)) || return "$status"
        sleep "${GRANT_WAIT_S:-10}" || true
    done
}

# Ends with the status of `ask`, which has printed its message unless the object does not exist.
give_up() {
    (($1 != NOT_FOUND)) || die "$2"
    exit "$1"
}

# The only identity of the app. If there are several, a person must choose.
identity_of_app() {
    local found
    found="$(ask 'read the identity of the app' 'a user who can read the resource group' \
        functionapp identity show --resource-group "$group" --name "$app" \
        --query "[principalId, values(userAssignedIdentities || \`{}\`)[].principalId][] | [?@]" --output tsv)" ||
        give_up $? "there is no app $app in the resource group $group of this subscription"
    [[ -n "$found" ]] || die "the app $app has no identity: deploy infra/main.bicep, or run az functionapp identity assign"
    [[ "$found" != *$'\n'* ]] || die "the app $app has several identities: choose one with --principal-id"
    printf '%s' "$found"
}

readonly GRANTER='Privileged Role Administrator or Global Administrator'

# A GET to Microsoft Graph with a JMESPath query. The first argument is the purpose, for messages.
graph_get() {
    ask_patiently "$1" "$GRANTER" rest --method GET --url "$graph/v1.0/$2" --query "$3" --output tsv
}

graph_post() {
    ask_patiently "$1" "$GRANTER" rest --method POST --url "$graph/v1.0/$2" --headers 'Content-Type=application/json' \
        --body "$3" --output none
}

report() {
    local there="$1" what="$2"
    if [[ "$there" == true ]]; then
        printf 'ok       %s\n' "$what"
    else
        printf 'missing  %s\n' "$what"
        missing=true
    fi
}

unknown_identity() {
    give_up "$1" "there is no identity $principal in this tenant: is it an object id? One that was just made is unknown for some minutes: run this again then"
}

# The app role $2, called $3, of the service principal $1.
grant_app_role() {
    local resource="$1" id="$2" name="$3" there
    there="$(graph_get 'read the app roles of the identity' "servicePrincipals/$principal/appRoleAssignments" \
        "length(value[?appRoleId=='$id' && resourceId=='$resource'])")" ||
        unknown_identity $?
    if [[ "$there" =~ ^[1-9] ]]; then
        report true "app role $name"
    elif [[ "$check" == true ]]; then
        report false "app role $name"
    else
        graph_post 'grant the app role' "servicePrincipals/$principal/appRoleAssignments" \
            "{\"principalId\":\"$principal\",\"resourceId\":\"$resource\",\"appRoleId\":\"$id\"}" ||
            unknown_identity $?
        printf 'granted  %s\n' "app role $name"
    fi
}

grant_reading() {
    local exchange
    exchange="$(ask 'read the service principal of Exchange Online' "$GRANTER" \
        ad sp show --id "$EXCHANGE_APP" --query id --output tsv)" ||
        give_up $? 'this tenant has no service principal of Office 365 Exchange Online: does it have Exchange Online?'
    grant_app_role "$exchange" "$MANAGE_AS_APP" Exchange.ManageAsApp
}

grant_mail() {
    local graph_sp
    graph_sp="$(ask 'read the service principal of Microsoft Graph' "$GRANTER" \
        ad sp show --id "$GRAPH_APP" --query id --output tsv)" ||
        give_up $? 'this tenant has no service principal of Microsoft Graph'
    grant_app_role "$graph_sp" "$MAIL_SEND" Mail.Send
    printf 'note     %s\n' 'Mail.Send may send as every mailbox: restrict it to one, docs/deploy.md, "Reports by mail"'
}

directory_roles() {
    graph_get 'read the directory roles of the identity' \
        "roleManagement/directory/roleAssignments?\$filter=principalId%20eq%20'$principal'" 'value[].roleDefinitionId'
}

grant_global_reader() {
    local roles
    roles="$(directory_roles)" || unknown_identity $?
    if [[ "$roles" == *"$GLOBAL_READER"* ]]; then
        report true 'Entra role Global Reader'
    elif [[ "$check" == true ]]; then
        report false 'Entra role Global Reader'
    else
        graph_post 'assign the Entra role' roleManagement/directory/roleAssignments \
            "{\"principalId\":\"$principal\",\"roleDefinitionId\":\"$GLOBAL_READER\",\"directoryScopeId\":\"/\"}" ||
            unknown_identity $?
        printf 'granted  %s\n' 'Entra role Global Reader'
    fi
}

# Roles that can write. This program never writes to Exchange, so they are only a risk. A person who may not read roles
# may still be allowed to grant.
warn_of_excess() {
    local roles id name
    if ! roles="$(directory_roles 2>/dev/null)"; then
        printf 'note     %s\n' 'directory roles cannot be read with this sign-in, so roles that write were not looked for'
        return
    fi
    while read -r id name; do
        if [[ "$roles" == *"$id"* ]]; then
            printf 'excess   %s\n' "Entra role $name: remove it, nothing here writes to Exchange"
        fi
    done <<'ROLES'
29232cdf-9323-42fd-ade2-1d097af3e4de Exchange Administrator
31392ffb-586c-42d1-9346-e59415a2cc4e Exchange Recipient Administrator
62e90394-69f5-4237-9190-012177145e10 Global Administrator
ROLES
}

grant_recipients() {
    local client script status=0
    client="$(ask_patiently 'read the client id of the identity' "$GRANTER" \
        ad sp show --id "$principal" --query appId --output tsv)" || unknown_identity $?
    script="$(dirname "${BASH_SOURCE[0]}")/grant-exchange.ps1"
    if command -v pwsh >/dev/null; then
        local arguments=(-PrincipalId "$principal" -ClientId "$client" -RoleGroupOnly)
        [[ "$check" == false ]] || arguments+=(-Check)
        pwsh -NoProfile -File "$script" "${arguments[@]}" || status=$?
        case "$status" in
        0) ;;
        3) missing=true ;;
        *) die 'infra/grant-exchange.ps1 failed: its message is above' ;;
        esac
        return
    fi
    missing=true
    printf 'to do    %s\n' 'role group with View-Only Recipients; without pwsh here, run this in PowerShell 7 as Exchange Administrator:'
    cat <<COMMANDS

  Install-Module ExchangeOnlineManagement -Scope CurrentUser
  ./infra/grant-exchange.ps1 -PrincipalId $principal -ClientId $client -RoleGroupOnly
COMMANDS
}

[[ -n "$principal" ]] || principal="$(identity_of_app)" || exit $?
graph="$(ask 'read the cloud of the Azure CLI' 'anybody' cloud show --query endpoints.microsoftGraphResourceId --output tsv)" ||
    give_up $? 'the Azure CLI does not know its cloud: run az cloud set --name AzureCloud'
graph="${graph%/}"
printf 'identity %s\n' "$principal"
grant_reading
[[ "$mail" == false ]] || grant_mail
case "$role" in
global-reader) grant_global_reader ;;
recipients) grant_recipients ;;
none) ;;
esac
[[ "$role" == none ]] || warn_of_excess
if [[ "$missing" == true ]]; then
    exit 3
fi
[[ "$check" == true ]] || printf 'done     %s\n' 'Exchange Online needs 30 minutes to 2 hours to know of a new grant'
