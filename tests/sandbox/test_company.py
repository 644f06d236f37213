"""The company that is made up: people, their calendars, and who leaves."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.support.planted_calendar import pages, view
from tests.support.sandbox_client import RefusedBySandbox, running_sandbox
from tests.support.sandbox_talk import Client, converse
from worker.sandbox import Answer, Company, Planting, Sandbox
from worker.sandbox.calendar.traits import BUSY, USER_TRAITS

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
COMPANY = Company.generate(1, 200, NOW)


def test_same_seed_makes_the_same_company() -> None:
    """Seed, size and day make the company; the hour of the day and the zone do not matter."""
    midnight = NOW.replace(hour=0, minute=0).astimezone(timezone(timedelta(hours=3)))
    company = Company.generate(1, 20, NOW)
    assert company == Company.generate(1, 20, midnight)
    assert company != Company.generate(2, 20, NOW)
    assert company != Company.generate(1, 20, NOW + timedelta(days=1))


def test_people_have_addresses_of_their_own() -> None:
    """Two hundred people have as many addresses, one in twenty leaves, nobody is a trait."""
    addresses = {person.address for person in COMPANY.people}
    assert (200, 10) == (len(addresses), len(set(COMPANY.leavers)))
    assert addresses == COMPANY.calendars.keys()
    assert addresses > set(COMPANY.leavers)
    assert all(address.endswith("@contoso.com") and address.isascii() for address in addresses)
    assert [] == [one for one in addresses if one.startswith((*USER_TRAITS, BUSY))]


def test_every_calendar_holds_every_kind() -> None:
    """Everyone has singles, series with exceptions, whole days, and all that is passed over."""
    for address, plantings in COMPANY.calendars.items():
        kinds = {kind for planting in plantings for kind in _kinds(planting, address)}
        assert _ALL_KINDS == kinds, address


_ALL_KINDS = {
    "single",
    "series",
    "exception",
    "whole days",
    "own",
    "cancelled",
    "alone",
    "saved",
    "unasked",
    "outside",
    "inside",
    "past",
    "future",
}


def _kinds(planting: Planting, address: str) -> set[str]:
    organizer = planting.organizer
    assert organizer is not None
    is_inside = organizer.address.endswith("@contoso.com")
    found = {
        "series" if planting.series else "single",
        "inside" if is_inside else "outside",
        "past" if planting.start < NOW else "future",
    }
    for holds, kind in (
        (planting.series and planting.series.exceptions, "exception"),
        (planting.is_all_day, "whole days"),
        (organizer.address == address, "own"),
        (planting.is_cancelled, "cancelled"),
        (not planting.attendees, "alone"),
        (planting.response is Answer.NONE, "saved"),
        (planting.response is Answer.NONE and planting.state_in(address)["is_organizer"], "wrong"),
        (not planting.response_requested, "unasked"),
    ):
        if holds:
            found.add(kind)
    return found


def test_answers_are_mixed() -> None:
    """Invitations are mostly unanswered; each answer there is occurs."""
    responses = [
        planting.response
        for plantings in COMPANY.calendars.values()
        for planting in plantings
        if "response" in planting.model_fields_set
    ]
    assert set(Answer) - {Answer.ORGANIZER} == set(responses)
    assert 2 * responses.count(Answer.NOT_RESPONDED) > len(responses)


def test_meeting_stands_in_every_guests_calendar() -> None:
    """What one invites others to stands in their calendars, under ids of their own."""
    by_meeting: dict[str, list[Planting]] = {}
    for plantings in COMPANY.calendars.values():
        for planting in plantings:
            by_meeting.setdefault(planting.i_cal_uid, []).append(planting)
    shared = [copies for copies in by_meeting.values() if len(copies) > 1]
    assert len(shared) > 200
    for copies in shared:
        assert 1 == len({(copy.subject, copy.start, copy.end) for copy in copies})
        assert len(copies) == len({copy.id for copy in copies})
        assert 1 == sum(copy.organizer == _OWNERS[copy.id] for copy in copies)


_OWNERS = {
    planting.id: person
    for person in COMPANY.people
    for planting in COMPANY.calendars[person.address]
}


def test_company_can_be_loaded() -> None:
    """One request loads a company and tells its people, and a leaver's calendar can be read."""

    async def talk(sandbox: Sandbox, client: Client) -> None:
        order = {"people": 20, "seed": 1, "now": NOW.isoformat()}
        heard = await client.call("POST", "/sandbox/company", json=order)
        company = Company.generate(1, 20, NOW)
        assert list(company.leavers) == heard.body["leavers"]
        assert [
            (person.name, person.address, len(company.calendars[person.address]))
            for person in company.people
        ] == [(told["name"], told["address"], told["events"]) for told in heard.body["people"]]
        assert {*company.leavers} == {
            told["address"] for told in heard.body["people"] if told["leaver"]
        }
        window = (NOW.isoformat(), (NOW + timedelta(days=730)).isoformat())
        form = f"/v1.0/users/{company.leavers[0]}/calendarView"
        found = await pages(client, await view(client, window, form, top=100))
        ids = [event for page in found for event in page]
        assert len(ids) == len(set(ids)) > 50
        master = ids[0].rpartition(".")[0] or ids[0]
        assert 200 == (await client.look(master, user=company.leavers[0])).status
        assert sandbox.stats().calls == len(found) + 1

    converse(talk)


def test_wrong_company_is_refused() -> None:
    """A company of one, or of what is no number, is refused by name."""
    with running_sandbox() as sandbox:
        for wrong in ({"people": 1}, {"people": "many"}, {"people": 5, "now": "2026-12-01T10:00"}):
            with pytest.raises(RefusedBySandbox, match=[*wrong][-1]):
                sandbox.company(**wrong)
        assert 3 == len(sandbox.company(people=3)["people"])
