"""The management API."""

from __future__ import annotations

import pytest

DESCRIPTION = {"ServerName", "Manufacturer", "ManufacturerVersion", "Location"}
ENTRY = {"DeviceName", "DeviceType", "DeviceNumber", "UniqueID"}


@pytest.mark.parametrize("path", ["apiversions", "v1/description", "v1/configureddevices"])
def test_management_answers_with_ids(server, path):
    ids = {"ClientID": 9, "ClientTransactionID": 77}
    reply = server.request("GET", f"/management/{path}", params=ids)
    assert reply.status_code == 200
    assert reply.headers["Content-Type"].startswith("application/json")
    body = reply.json()
    assert body["ClientTransactionID"] == 77
    assert body["ServerTransactionID"] >= 1
    assert "Value" in body


def test_version_one_is_served(server):
    assert 1 in server.request("GET", "/management/apiversions").json()["Value"]


def test_the_server_describes_itself(server):
    described = server.request("GET", "/management/v1/description").json()["Value"]
    assert set(described) >= DESCRIPTION
    assert all(isinstance(described[key], str) for key in DESCRIPTION)


def test_devices_are_listed_once_each(server):
    assert server.listed
    for entry in server.listed:
        assert set(entry) >= ENTRY
        assert isinstance(entry["DeviceNumber"], int)
        assert entry["DeviceNumber"] >= 0
        assert entry["UniqueID"]
    assert len({entry["UniqueID"] for entry in server.listed}) == len(server.listed)
    places = {(entry["DeviceType"].lower(), entry["DeviceNumber"]) for entry in server.listed}
    assert len(places) == len(server.listed)
