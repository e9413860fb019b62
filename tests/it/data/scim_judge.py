"""scim2-server as a Zivver: a SCIM server that nobody here wrote, with Zivver's attributes as a schema extension, behind
an adapter for what Zivver is known to do otherwise (`docs/specs/zivver-scim.md`, "3. User resource", "4. Group resource
(functional account)" and "5. Write semantics and quirks"). Standard input: one line of JSON with the
mailboxes, groups and accounts to begin with. Prints a port; then, for each further line of input, one line of JSON:
what differs from what the directory calls for, worked out here, and the writes so far."""

import http.server
import io
import json
import sys
import threading

from scim2_models import ResourceType, Schema, ScimProvider
from scim2_server.applications.wsgi import WSGIApplication
from scim2_server.memory import InMemoryStorage
from scim2_server.utils import load_default_resource_types, load_default_schemas, load_default_service_provider_config

USER, GROUP = (f"urn:ietf:params:scim:schemas:core:2.0:{kind}" for kind in ("User", "Group"))
ZUSER, ZGROUP = (f"urn:ietf:params:scim:schemas:zivver:0.1:{kind}" for kind in ("User", "Group"))
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
BASE, KEY = "/api/scim/v2", "Z1.1.2.anVkZ2U"


def attribute(name, many=False):
    return {"name": name, "type": "string", "multiValued": many, "required": False, "caseExact": False,
            "mutability": "readWrite", "returned": "default", "uniqueness": "none", "description": name}


def schema(urn, name, many, one):
    attributes = [attribute(each, True) for each in many] + [attribute(each) for each in one]
    return {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"], "id": urn, "name": name, "attributes": attributes}


def provider():
    schemas = [*load_default_schemas().values()]
    for definition in (schema(ZUSER, "ZivverUser", ["aliases", "delegates"], ["SsoAccountKey", "ExternalAccountId"]),
                       schema(ZGROUP, "ZivverGroup", ["aliases"], ["ExternalAccountId"])):
        schemas.append(Schema.model_validate(definition))
    types = []
    for kind, extensions in (("User", [ENTERPRISE, ZUSER]), ("Group", [ENTERPRISE, ZGROUP])):
        found = next(each for each in load_default_resource_types().values() if each.name == kind).model_dump()
        found["schemaExtensions"] = [{"schema": urn, "required": False} for urn in extensions]
        types.append(ResourceType.model_validate(found))
    return ScimProvider.from_discovery(schemas, types, config=load_default_service_provider_config())


APP = WSGIApplication(InMemoryStorage(), provider())
LOCK = threading.Lock()
WRITES = []


def scim(method, path, query="", body=None):
    """One call of scim2-server, by the book."""
    data = b"" if body is None else json.dumps(body).encode()
    said = {}
    environ = {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": "/v2" + path, "QUERY_STRING": query,
               "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http",
               "wsgi.input": io.BytesIO(data), "wsgi.errors": sys.stderr, "CONTENT_LENGTH": str(len(data)),
               "CONTENT_TYPE": "application/scim+json", "HTTP_ACCEPT": "application/scim+json"}
    answer = b"".join(APP(environ, lambda status, headers: said.update(status=int(status.split()[0]))))
    return said["status"], json.loads(answer) if answer else None


def written(resource):
    """What a client may send back: no read-only attributes."""
    return {name: value for name, value in resource.items() if name not in ("id", "meta", "groups")}


class Refused(Exception):
    pass


def extension(kind):
    return ZUSER if kind == "Users" else ZGROUP


def create(kind, body):
    if kind == "Users":
        body["active"] = True
    for name in ("aliases", "delegates"):
        body.get(extension(kind), {}).pop(name, None)
    return scim("POST", f"/{kind}", body=body)


def update(kind, name, body):
    """Partial at the top; an extension that is there replaces the stored one; an empty list of members says nothing."""
    status, stored = scim("GET", f"/{kind}/{name}")
    if status == 404:
        raise Refused(400, f"Unknown account with uuid: {name}")
    if kind == "Groups":
        body.pop("externalId", None)
        if body.get("members") == []:
            del body["members"]
    return scim("PUT", f"/{kind}/{name}", body=written(stored) | written(body))


def shown(kind, resource):
    extension_of = resource.setdefault(extension(kind), {})
    extension_of.pop("SsoAccountKey", None)
    extension_of.setdefault("aliases", [])
    if kind == "Users":
        extension_of.setdefault("delegates", [])
        resource.setdefault("phoneNumbers", [])
    return resource


class Adapter(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        try:
            with LOCK:
                status, answer = self.handled(body)
        except Refused as refused:
            status, answer = refused.args
        text = answer if isinstance(answer, str) else json.dumps(answer)
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_PUT = do_PATCH = do

    def handled(self, body):
        if self.headers["Authorization"] != f"Bearer {KEY}":
            raise Refused(401, "")
        path, _, query = self.path.partition("?")
        if not path.startswith(BASE + "/"):
            raise Refused(404, "")
        kind, _, name = path[len(BASE) + 1:].partition("/")
        method = self.command
        if method != "GET":
            WRITES.append(f"{method} /{kind}")
        if (method, bool(name)) == ("POST", False):
            status, answer = create(kind, body)
        elif (method, bool(name)) == ("PUT", True):
            status, answer = update(kind, name, body)
        elif method == "PATCH" and kind == "Groups":
            if self.headers["Content-Type"] != "application/scim+json":
                raise Refused(415, {"code": 415, "message": "HTTP 415 Unsupported Media Type"})
            status, answer = scim("PATCH", f"/{kind}/{name}", body=body)
        elif method == "GET":
            status, answer = scim("GET", f"/{kind}/{name}".rstrip("/"), query)
        else:
            raise Refused(405, "")
        if status >= 400:
            print(method, self.path, json.dumps(body), status, json.dumps(answer), file=sys.stderr)
            raise Refused(status, json.dumps(answer))
        if answer is None:
            return status, ""
        if method == "GET" and not name:
            rows = [shown(kind, row) for row in answer.get("Resources") or []]
            return 200, {"Resources": rows, "totalResults": answer["totalResults"]}
        return status, shown(kind, answer)

    def log_message(self, *_):
        pass


def everything(kind):
    status, answer = scim("GET", f"/{kind}", "count=100000")
    assert status == 200, answer
    return answer.get("Resources") or []


def seed(world):
    ids = {}
    for user in world["users"]:
        own = {"aliases": user["aliases"], "delegates": user["delegates"], "SsoAccountKey": user["key"],
               "ExternalAccountId": user["identifier"]}
        own = {name: value for name, value in own.items() if value}
        body = {"schemas": [USER, ZUSER], "userName": user["address"], "name": {"formatted": user["name"]},
                "active": user["active"], ZUSER: own}
        status, made = scim("POST", "/Users", body=body)
        assert status == 201, made
        ids[user["id"]] = made["id"]
    for group in world["accounts"]:
        body = {"schemas": [GROUP], "externalId": group["address"], "displayName": group["name"],
                "members": [{"value": ids[member]} for member in group["members"]]}
        status, made = scim("POST", "/Groups", body=body)
        assert status == 201, made


def account(name, active, aliases, delegates, key=None):
    return {"name": name, "active": active, "aliases": sorted(aliases), "delegates": sorted(delegates), "key": key}


def found():
    users = everything("Users")
    address = {user["id"]: user["userName"] for user in users}
    accounts = {}
    for user in users:
        own = user.get(ZUSER, {})
        accounts[user["userName"]] = account(user["name"]["formatted"], user["active"], own.get("aliases") or [],
                                             own.get("delegates") or [], own.get("SsoAccountKey"))
    for group in everything("Groups"):
        members = [address[member["value"]] for member in group.get("members") or []]
        own = group.get(ZGROUP, {})
        accounts[group["externalId"]] = account(group["displayName"], bool(members), own.get("aliases") or [], members)
    return accounts


def wanted(world):
    """By the rules as an administrator would say them."""
    accounts = {}
    for user in world["users"]:
        accounts[user["address"]] = account(user["name"], user["active"], user["aliases"], user["delegates"], user["key"])
    addresses = {user["id"]: user["address"] for user in world["users"]}
    for group in world["accounts"]:
        members = [addresses[member] for member in group["members"]]
        accounts[group["address"]] = account(group["name"], bool(members), group["aliases"], members)
    people = {mailbox["login"]: mailbox["address"] for mailbox in world["mailboxes"]}
    teams = {group["name"]: group["members"] for group in world["groups"]}
    renamed = {user["identifier"]: user["address"] for user in world["users"] if user["identifier"]}
    for mailbox in world["mailboxes"]:
        address, is_user = mailbox["address"], mailbox["kind"] == "UserMailbox"
        before = renamed.get(mailbox["id"])
        if before and before != address:
            accounts[address] = accounts.pop(before)
        delegates = set()
        for trustee in mailbox["opened_by"]:
            delegates.update([people[trustee]] if trustee in people else teams[trustee])
        active = not mailbox["disabled"] if is_user else bool(delegates)
        if active:
            accounts[address] = account(mailbox["name"], True, mailbox["aliases"], delegates, mailbox["id"] if is_user else None)
        elif address in accounts:
            accounts[address]["active"] = False
            if not is_user:
                accounts[address]["delegates"] = []
    return accounts


WORLD = json.loads(sys.stdin.readline())
seed(WORLD)
SERVER = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Adapter)
SERVER.daemon_threads = True
threading.Thread(target=SERVER.serve_forever, daemon=True).start()
print(SERVER.server_port, flush=True)
for _ in sys.stdin:
    with LOCK:
        is_now, should = found(), wanted(WORLD)
        names = sorted(is_now.keys() | should.keys())
        differences = {name: [is_now.get(name), should.get(name)] for name in names if is_now.get(name) != should.get(name)}
        print(json.dumps({"differences": differences, "accounts": len(is_now), "writes": len(WRITES)}), flush=True)
