#!/usr/bin/env bash
# Lets the function app's identity read Exchange Online: the app role Exchange.ManageAsApp, and one role to read with.
# Idempotent: what is there already is left alone. Needs the Azure CLI, signed in as Privileged Role Administrator or
# Global Administrator; the role group needs PowerShell 7 with the module ExchangeOnlineManagement besides.
set -euo pipefail

readonly EXCHANGE_APP='00000002-0000-0ff1-ce00-000000000000' # Office 365 Exchange Online
readonly MANAGE_AS_APP='dc50a0fb-09a3-484d-be87-e023b12c6440'
readonly GLOBAL_READER='f2ef992c-3afb-46b9-b7cf-a126ee74c451'

usage() {
    cat <<'USAGE'
usage: infra/grant-exchange.sh (--resource-group GROUP --app NAME | --principal-id OBJECT_ID)
                               [--role recipients|global-reader|none] [--check]

  --role recipients     the smallest role that works, and the default: a role group in Exchange Online with
                        View-Only Recipients. Made by grant-exchange.ps1 if pwsh is installed, else the
                        commands are printed.
  --role global-reader  the Entra role Global Reader: no PowerShell, but it reads the whole tenant.
  --role none           only the app role Exchange.ManageAsApp.
  --check               change nothing; say what is there and what is missing.

Exit codes: 0 all there, 1 error, 2 usage, 3 something is missing or left to do.
USAGE
}

die() {
    printf 'error: %s\n' "$1" >&2
    exit "${2:-1}"
}

group='' app='' principal='' role='recipients' check=false missing=false
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
[[ "$role" =~ ^(recipients|global-reader|none)$ ]] || die "--role is recipients, global-reader or none" 2
if [[ -z "$principal" && (-z "$group" || -z "$app") ]]; then
    usage >&2
    die 'say which identity: --resource-group and --app, or --principal-id' 2
fi
command -v az >/dev/null || die 'the Azure CLI is not installed: https://learn.microsoft.com/cli/azure/install-azure-cli'

# The app's only identity; with several, a person has to choose.
identity_of_app() {
    local found
    found="$(az functionapp identity show --resource-group "$group" --name "$app" \
        --query "[principalId, values(userAssignedIdentities || \`{}\`)[].principalId][] | [?@]" --output tsv)" ||
        die "cannot read the identity of the app $app in $group: is the name right, and are you signed in (az login)?"
    [[ -n "$found" ]] || die "the app $app has no identity: deploy infra/main.bicep, or run az functionapp identity assign"
    [[ "$found" != *$'\n'* ]] || die "the app $app has several identities: choose one with --principal-id"
    printf '%s' "$found"
}

# The first line of a GET to Microsoft Graph, after a JMESPath query.
graph_get() {
    az rest --method GET --url "$graph/v1.0/$1" --query "$2" --output tsv
}

graph_post() {
    az rest --method POST --url "$graph/v1.0/$1" --headers 'Content-Type=application/json' --body "$2" --output none
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

grant_app_role() {
    local exchange there
    exchange="$(az ad sp show --id "$EXCHANGE_APP" --query id --output tsv)" ||
        die 'this tenant has no service principal of Office 365 Exchange Online: does it have Exchange Online?'
    there="$(graph_get "servicePrincipals/$principal/appRoleAssignments" \
        "length(value[?appRoleId=='$MANAGE_AS_APP' && resourceId=='$exchange'])")" ||
        die "cannot read what $principal has been granted: is it the object id of an identity in this tenant?"
    if [[ "$there" == 0 && "$check" == false ]]; then
        graph_post "servicePrincipals/$principal/appRoleAssignments" \
            "{\"principalId\":\"$principal\",\"resourceId\":\"$exchange\",\"appRoleId\":\"$MANAGE_AS_APP\"}" ||
            die 'cannot grant the app role: sign in as Privileged Role Administrator or Global Administrator'
        printf 'granted  app role Exchange.ManageAsApp\n'
        return
    fi
    report "$([[ "$there" == 0 ]] && echo false || echo true)" 'app role Exchange.ManageAsApp'
}

directory_roles() {
    graph_get "roleManagement/directory/roleAssignments?\$filter=principalId%20eq%20'$principal'" \
        'value[].roleDefinitionId' || die 'cannot read directory roles: sign in as a role that may read them'
}

grant_global_reader() {
    local roles
    roles="$(directory_roles)"
    if [[ "$roles" == *"$GLOBAL_READER"* ]]; then
        report true 'Entra role Global Reader'
    elif [[ "$check" == true ]]; then
        report false 'Entra role Global Reader'
    else
        graph_post roleManagement/directory/roleAssignments \
            "{\"principalId\":\"$principal\",\"roleDefinitionId\":\"$GLOBAL_READER\",\"directoryScopeId\":\"/\"}" ||
            die 'cannot assign the role: sign in as Privileged Role Administrator or Global Administrator'
        printf 'granted  Entra role Global Reader\n'
    fi
}

# Roles that can write: this program never does, so they are only a risk.
warn_of_excess() {
    local roles id name
    roles="$(directory_roles)"
    while read -r id name; do
        if [[ "$roles" == *"$id"* ]]; then
            printf 'excess   Entra role %s: remove it, nothing here writes to Exchange\n' "$name"
        fi
    done <<'ROLES'
29232cdf-9323-42fd-ade2-1d097af3e4de Exchange Administrator
31392ffb-586c-42d1-9346-e59415a2cc4e Exchange Recipient Administrator
62e90394-69f5-4237-9190-012177145e10 Global Administrator
ROLES
}

grant_recipients() {
    local client script
    client="$(az ad sp show --id "$principal" --query appId --output tsv)" ||
        die "cannot read the service principal $principal"
    script="$(dirname "${BASH_SOURCE[0]}")/grant-exchange.ps1"
    if command -v pwsh >/dev/null; then
        local arguments=(-PrincipalId "$principal" -ClientId "$client" -RoleGroupOnly)
        [[ "$check" == false ]] || arguments+=(-Check)
        pwsh -NoProfile -File "$script" "${arguments[@]}" || missing=true
        return
    fi
    missing=true
    cat <<COMMANDS
to do    role group with View-Only Recipients; without pwsh here, run this in PowerShell as Exchange Administrator:

  Install-Module ExchangeOnlineManagement -Scope CurrentUser
  ./infra/grant-exchange.ps1 -PrincipalId $principal -ClientId $client -RoleGroupOnly
COMMANDS
}

[[ -n "$principal" ]] || principal="$(identity_of_app)"
graph="$(az cloud show --query endpoints.microsoftGraphResourceId --output tsv)" || die 'cannot ask the Azure CLI for its cloud'
graph="${graph%/}"
printf 'identity %s\n' "$principal"
grant_app_role
case "$role" in
global-reader) grant_global_reader ;;
recipients) grant_recipients ;;
none) ;;
esac
warn_of_excess
if [[ "$missing" == true ]]; then
    exit 3
fi
[[ "$check" == true ]] || printf 'done     it can take an hour, and up to a day where a token is cached, until Exchange Online sees it\n'
