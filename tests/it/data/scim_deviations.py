"""What two conformance suites of others object to in the SCIM service at `sys.argv[1]` with the key `sys.argv[2]`, one
objection a line: suite, check, result."""

import asyncio
import json
import pathlib
import re
import subprocess
import sys

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_models import ResourceType, Schema, ScimProvider
from scim2_server.utils import load_default_resource_types, load_default_schemas, load_default_service_provider_config
from scim2_tester import Status, check_server

URL, KEY = sys.argv[1:]


def sanity():
    """scim-sanity, which has objects of its own."""
    command = [pathlib.Path(sys.executable).with_name("scim-sanity"), "probe", URL, "--token", KEY, "--user-domain",
               "corp.example", "--i-accept-side-effects", "--json-output"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120)
    for result in json.loads(said.stdout)["results"]:
        if result["status"] not in ("pass", "skip"):
            yield f"scim-sanity | {result['name']} | {result['status']}: {result['message']}"


def tester():
    """scim2-tester, told what a service that has no discovery would have announced: core schemas only."""
    types = [each.model_dump() for each in load_default_resource_types().values()]
    for each in types:
        each.pop("schemaExtensions", None)
    provider = ScimProvider.from_discovery(load_default_schemas().values(), [ResourceType.model_validate(each) for each in types],
                                           config=load_default_service_provider_config())
    client = SyncSCIMClient(Client(base_url=URL, headers={"Authorization": f"Bearer {KEY}"}), provider=provider)
    for result in check_server(client):
        if result.status not in (Status.SUCCESS, Status.SKIPPED):
            yield f"scim2-tester | {result.title} | {result.status.name}: {result.reason}"


for line in sorted({re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "<id>", line) for line in [*sanity(), *tester()]}):
    print(line.replace("\n", " "))
