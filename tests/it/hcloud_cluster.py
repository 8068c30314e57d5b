"""A cluster made with PyPI's official `hcloud` client, by somebody who has never seen gsh.

Usage: hcloud_cluster.py up FOLDER | lists | refusals | down

HCLOUD_ENDPOINT and HCLOUD_TOKEN say where the cloud is. `up` reads `login.pub`, `host` and `host.pub` from FOLDER and
prints the address of the server; `down` removes everything that carries our label and asserts that nothing is left.
"""

import json
import os
import pathlib
import sys

from hcloud import APIException, Client
from hcloud.firewalls.domain import FirewallResource, FirewallRule
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.networks import NetworkSubnet
from hcloud.server_types import ServerType

LABELS = {"made-by": "outsider"}
SELECTOR = "made-by=outsider"
SERVER = "outsider-1"

INSTALL = """#!/bin/sh
set -e
public=$(curl -sf http://169.254.169.254/hetzner/v1/metadata/public-ipv4)
curl -sfL https://get.k3s.io | INSTALL_K3S_VERSION=v1.24.17+k3s1 sh -s - server \\
  --tls-san "$public" --disable traefik \\
  --node-label gitpod.io/workload_meta=true \\
  --node-label gitpod.io/workload_ide=true \\
  --node-label gitpod.io/workload_workspace_services=true \\
  --node-label gitpod.io/workload_workspace_regular=true \\
  --node-label gitpod.io/workload_workspace_headless=true
"""


def user_data(folder):
    """cloud-config; JSON is YAML."""
    config = {
        "disable_root": False,
        "ssh_pwauth": False,
        "ssh_deletekeys": True,
        "ssh_keys": {
            "ed25519_private": (folder / "host").read_text(),
            "ed25519_public": (folder / "host.pub").read_text().strip(),
        },
        "write_files": [
            {"path": "/etc/ssh/sshd_config.d/10-port.conf", "permissions": "0644", "content": "Port 2244\n"},
            {"path": "/root/install.sh", "permissions": "0700", "content": INSTALL},
        ],
        "runcmd": [["sh", "/root/install.sh"]],
    }
    return "#cloud-config\n" + json.dumps(config, indent=1)


def up(client, folder):
    key = client.ssh_keys.create(name="outsider", public_key=(folder / "login.pub").read_text().strip(), labels=LABELS)
    network = client.networks.create(
        name="outsider",
        ip_range="10.2.0.0/16",
        subnets=[NetworkSubnet(ip_range="10.2.0.0/24", type="cloud", network_zone="eu-central")],
        labels=LABELS,
    )
    everybody = ["0.0.0.0/0", "::/0"]
    rules = [
        FirewallRule(direction="in", protocol="tcp", port=port, source_ips=everybody, description=why)
        for port, why in [("2244", "ssh"), ("6443", "kubernetes")]
    ]
    firewall = client.firewalls.create(name="outsider", rules=rules, labels=LABELS)
    for action in firewall.actions or []:
        action.wait_until_finished()

    ordered = client.servers.create(
        name=SERVER,
        server_type=ServerType(name="cpx42"),
        image=Image(name="ubuntu-22.04"),
        location=Location(name="nbg1"),
        ssh_keys=[key],
        networks=[network],
        firewalls=[firewall.firewall],
        user_data=user_data(folder),
        labels=LABELS,
    )
    for action in [ordered.action, *ordered.next_actions]:
        action.wait_until_finished()
        assert action.status == "success" and action.progress == 100, action.status

    server = client.servers.get_by_name(SERVER)
    assert server.id == ordered.server.id
    assert server.status == "running", server.status
    assert server.labels == LABELS, server.labels
    assert server.server_type.name == "cpx42" and server.image.name == "ubuntu-22.04"
    assert [n.network.id for n in server.private_net] == [network.id]
    assert [f.firewall.id for f in server.public_net.firewalls] == [firewall.firewall.id]
    assert server.private_net[0].ip.startswith("10.2.0."), server.private_net[0].ip
    # What a resource says about its users and what they say about it are the same thing.
    assert [s.id for s in client.networks.get_by_id(network.id).servers] == [server.id]
    applied = client.firewalls.get_by_id(firewall.firewall.id).applied_to
    assert [r.server.id for r in applied if r.type == FirewallResource.TYPE_SERVER] == [server.id]
    print(server.public_net.ipv4.ip)


def lists(client):
    made = [
        client.placement_groups.create(name=f"group-{n:02}", type="spread", labels={**LABELS, "n": str(n % 3)})
        for n in range(12)
    ]
    assert len(made) == 12
    names = [f"group-{n:02}" for n in range(12)]

    def page(number, **more):
        return client.placement_groups.get_list(label_selector=SELECTOR, page=number, per_page=5, **more)

    pages = [page(number, sort=["name:asc"]) for number in (1, 2, 3, 4)]
    assert [len(p.placement_groups) for p in pages] == [5, 5, 2, 0]
    assert [g.name for p in pages for g in p.placement_groups] == names
    assert [p.meta.pagination.next_page for p in pages] == [2, 3, None, None]
    assert all((p.meta.pagination.last_page, p.meta.pagination.total_entries) == (3, 12) for p in pages)
    assert [g.name for g in page(1, sort=["name:desc"]).placement_groups] == names[:6:-1]
    assert [g.id for g in page(1, sort=["id:desc"]).placement_groups] == sorted((g.placement_group.id for g in made), reverse=True)[:5]

    def selected(selector):
        return sorted(g.name for g in client.placement_groups.get_all(label_selector=selector))

    assert selected(f"{SELECTOR},n=0") == names[0::3]
    assert selected(f"{SELECTOR},n!=0") == sorted(names[1::3] + names[2::3])
    assert selected(f"{SELECTOR},n in (1,2)") == sorted(names[1::3] + names[2::3])
    assert selected(f"{SELECTOR},!n") == []

    # The catalogue: by name, and every page of it.
    assert client.server_types.get_by_name("cpx42").memory == 16
    assert client.server_types.get_by_name("abacus") is None
    pieces = [client.server_types.get_list(page=n, per_page=10).server_types for n in (1, 2, 3)]
    assert [t.id for piece in pieces for t in piece] == [t.id for t in client.server_types.get_all()]
    image = client.images.get_by_name_and_architecture("ubuntu-22.04", "arm")
    assert image.architecture == "arm" and image.type == "system"

    for group in client.placement_groups.get_all(label_selector=SELECTOR):
        group.delete()
    assert client.placement_groups.get_all(label_selector=SELECTOR) == []


def refused(code, call):
    try:
        call()
    except APIException as refusal:
        assert refusal.code == code, (refusal.code, refusal.message)
        assert refusal.message, "a refusal without words"
        assert refusal.correlation_id, "a refusal that nobody can look up"
        return refusal
    raise AssertionError(f"not refused, but {code} was expected")


def refusals(client):
    refused("not_found", lambda: client.servers.get_by_id(999_999_999))
    assert client.servers.get_by_name("nobody") is None
    network = client.networks.create(name="taken", ip_range="10.3.0.0/16", labels=LABELS)
    first = refused("uniqueness_error", lambda: client.networks.create(name="taken", ip_range="10.4.0.0/16"))
    again = refused("uniqueness_error", lambda: client.networks.create(name="taken", ip_range="10.4.0.0/16"))
    assert first.correlation_id != again.correlation_id
    assert [n.id for n in client.networks.get_all(name="taken")] == [network.id]

    def order(**more):
        wanted = {"name": "never", "server_type": ServerType(name="cpx42"), "image": Image(name="ubuntu-22.04")}
        return lambda: client.servers.create(**{**wanted, **more})

    refused("invalid_input", order(name="not a host name"))
    refused("invalid_input", order(labels={"white space": "no"}))
    refused("invalid_input", order(user_data="x" * 32_769))
    refused("invalid_input", lambda: client.networks.create(name="odd", ip_range="10.3.0.0/16.0"))
    refused("invalid_input", lambda: client.servers.get_list(per_page=51))
    stranger = Client(token="x" * 64, api_endpoint=os.environ["HCLOUD_ENDPOINT"])
    refused("unauthorized", stranger.servers.get_all)
    assert client.servers.get_by_name("never") is None
    network.delete()
    refused("not_found", network.reload)


def down(client):
    for server in client.servers.get_all(label_selector=SELECTOR):
        in_use = client.firewalls.get_all(label_selector=SELECTOR)
        for firewall in in_use:
            refused("resource_in_use", firewall.delete)
        server.delete().wait_until_finished()
    for kind in (client.firewalls, client.networks, client.placement_groups, client.ssh_keys):
        for resource in kind.get_all(label_selector=SELECTOR):
            resource.delete()
    kinds = (client.servers, client.firewalls, client.networks, client.placement_groups, client.ssh_keys)
    left = {type(kind).__name__: [r.name for r in kind.get_all(label_selector=SELECTOR)] for kind in kinds}
    assert not any(left.values()), left
    # Addresses have no label of ours: they come and go with the server.
    assert client.primary_ips.get_all() == [], client.primary_ips.get_all()


def main():
    client = Client(
        token=os.environ["HCLOUD_TOKEN"],
        api_endpoint=os.environ["HCLOUD_ENDPOINT"],
        application_name="outsider",
        poll_interval=0.05,
        poll_max_retries=1200,
    )
    command, *rest = sys.argv[1:]
    steps = {"up": lambda: up(client, pathlib.Path(rest[0])), "lists": lambda: lists(client)}
    steps |= {"refusals": lambda: refusals(client), "down": lambda: down(client)}
    steps[command]()


main()
