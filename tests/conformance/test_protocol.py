"""The protocol, at a member that every device has."""

from __future__ import annotations

import pytest

BAD_IDS = ["", " ", "-1", "text", "1.5"]
# Of each kind: an order with one parameter, a value that is refused without harm, and its name.
ORDERS = {
    "telescope": ("targetdeclination", "TargetDeclination", "95"),
    "dome": ("slewtoazimuth", "Azimuth", "400"),
    "camera": ("binx", "BinX", "0"),
    "filterwheel": ("position", "Position", "-1"),
    "focuser": ("tempcomp", "TempComp", "nonsense"),
    "safetymonitor": ("connected", "Connected", "nonsense"),
    "observingconditions": ("averageperiod", "AveragePeriod", "-1"),
    "covercalibrator": ("calibratoron", "Brightness", "-1"),
}


def test_ids_are_echoed_whatever_the_case_of_a_query(device):
    for names in (("ClientID", "ClientTransactionID"), ("clientid", "CLIENTTRANSACTIONID")):
        reply = device.raw("GET", "connected", params=dict(zip(names, (3, 77), strict=True)))
        assert reply.status_code == 200
        assert reply.json()["ClientTransactionID"] == 77


def test_transactions_of_the_server_grow(device):
    first = device.raw("GET", "name").json()["ServerTransactionID"]
    second = device.raw("GET", "name").json()["ServerTransactionID"]
    assert 1 <= first < second


@pytest.mark.parametrize("bad", BAD_IDS)
def test_a_bad_id_is_zero_or_malformed(device, bad):
    for name in ("ClientID", "ClientTransactionID"):
        reply = device.raw("GET", "description", params={name: bad})
        assert reply.status_code in (200, 400)
        if reply.status_code == 200:
            assert reply.json()["ClientTransactionID"] == 0


def test_a_reply_is_json_with_exact_keys(device):
    reply = device.raw("GET", "interfaceversion")
    assert reply.headers["Content-Type"].startswith("application/json")
    assert set(reply.json()) == {
        *("Value", "ClientTransactionID", "ServerTransactionID", "ErrorNumber", "ErrorMessage")
    }


def test_unknown_parameters_are_ignored(device):
    assert device.raw("GET", "name", params={"Colour": "blue"}).status_code == 200


def test_names_in_a_form_are_case_sensitive(device):
    path, name, value = ORDERS[device.kind]
    for wrong in (name.lower(), name.upper()):
        assert device.raw("PUT", path, data={wrong: value}).status_code == 400


def test_a_misspelt_id_in_a_form_does_no_harm(device):
    path, name, value = ORDERS[device.kind]
    form = {name: value, "clientid": "3", "CLIENTTRANSACTIONID": "5"}
    reply = device.raw("PUT", path, data=form)
    assert reply.status_code in (200, 400)
    if reply.status_code == 200:
        assert reply.json()["ClientTransactionID"] in (0, 5)


def test_a_missing_or_empty_parameter_is_malformed(device):
    path, name, _ = ORDERS[device.kind]
    for form in ({}, {name: ""}):
        assert device.raw("PUT", path, data=form).status_code == 400


def test_what_is_no_value_is_malformed(device):
    path, name, _ = ORDERS[device.kind]
    assert device.raw("PUT", path, data={name: "asduio6fghZZ"}).status_code == 400


def test_parameters_of_an_order_belong_in_the_form(device):
    path, name, value = ORDERS[device.kind]
    assert device.raw("PUT", path, params={name: value}).status_code == 400


def test_what_does_not_exist_is_a_client_error(device):
    server, kind = device.server, device.kind
    for path in (
        f"/api/v1/{kind.upper()}/0/name",
        "/api/v1/baddevicetype/0/name",
        f"/api/v1/{kind}/-1/name",
        f"/api/v1/{kind}/99999/name",
        f"/api/v1/{kind}/A/name",
        f"{device.path}/badmember",
        f"/api/v2/{kind}/0/name",
        f"/apx/v1/{kind}/0/name",
    ):
        assert 400 <= server.request("GET", path).status_code < 500, path
    assert 400 <= device.raw("PUT", "name").status_code < 500
