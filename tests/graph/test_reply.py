"""What is read out of a reply, whatever Graph, a proxy or an accident put into it."""

import base64
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from worker.graph.reply import Event, Reply, read_reply

ARRIVED = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1790000000"}}}'

anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "code", "innerError", "innererror", "request-id", "responseStatus"]
            ),
            inner,
        )
    ),
)


def read(content: bytes | dict[str, Any], status: int = 400, **headers: str) -> Reply:
    """Read a reply whose headers are given with underscores."""
    return read_reply(
        status,
        CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()}),
        content if isinstance(content, bytes) else orjson.dumps(content),
        arrived_at=ARRIVED,
        duration_ms=12.5,
    )


def test_a_graph_error_is_read_whole() -> None:
    """Code, text, headers and ids of a refused call stand in the reply."""
    content = {
        "error": {
            "code": "ErrorItemNotFound",
            "message": "The specified object was not found in the store.",
            "innerError": {"request-id": "inner", "client-request-id": "ours"},
        }
    }
    expected = Reply(
        status=404,
        code="ErrorItemNotFound",
        message="The specified object was not found in the store.",
        retry_after_s=2.128,
        request_id="outer",
        has_body=True,
        is_json=True,
        arrived_at=ARRIVED,
        duration_ms=12.5,
    )
    assert expected == read(
        content,
        404,
        Retry_After="2.128",
        date="Wed, 21 Oct 2026 07:28:00 GMT",
        request_id="outer",
    )


@pytest.mark.parametrize(
    "error",
    [
        {"innerError": {"request-id": "inner"}},
        {"innererror": {"request-id": "inner"}},
        {"innerError": {"code": "x", "innererror": {"request-id": "inner"}}},
        {"innererror": {"request-id": 7, "innerError": {"request-id": "inner"}}},
    ],
)
def test_the_request_id_is_found_inside(error: dict[str, Any]) -> None:
    """Without the header, Graph's id is taken from the inner error, however it is nested."""
    assert read({"error": error}).request_id == "inner"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html><body>503 Service Unavailable</body></html>",
        b"The service is unavailable.",
        b'{"error": {"code": "cut',
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b"{}",
        b'{"error": null}',
        b'{"error": "text"}',
        b'{"error": {"code": 7, "message": ["x"]}}',
        b'{"error": {"code": "", "message": ""}}',
        b"[" * 60_000,
    ],
)
def test_a_body_that_says_nothing_leaves_the_status(content: bytes) -> None:
    """Empty, HTML, text, cut and foreign bodies are no error of ours, and give no code."""
    is_json = content.startswith(b'{"') and content.endswith(b"}")
    expected = Reply(
        status=503,
        has_body=bool(content),
        is_json=is_json,
        arrived_at=ARRIVED,
        duration_ms=12.5,
    )
    assert expected == read(content, 503)


def test_a_byte_order_mark_is_passed_over() -> None:
    """JSON may begin with a byte order mark."""
    answer = b'{"responseStatus": {"response": "declined"}}'
    assert read(answer) == read(b"\xef\xbb\xbf" + answer)
    assert read(answer).event is not None


@given(st.one_of(st.binary(), anything.map(orjson.dumps)))
def test_no_body_raises(content: bytes) -> None:
    """Whatever bytes come, a reply with the status is made of them."""
    assert read(content, 500).status == 500


def test_a_look_reads_the_event() -> None:
    """The four fields that a look asks for are in the reply."""
    content = {
        "responseStatus": {"response": "tentativelyAccepted", "time": "2026-10-21T07:00:00Z"},
        "isOrganizer": False,
        "isCancelled": True,
        "responseRequested": False,
    }
    expected = Event(
        "tentativelyAccepted",
        is_organizer=False,
        is_cancelled=True,
        response_requested=False,
        answered_at=datetime(2026, 10, 21, 7, tzinfo=UTC),
    )
    assert expected == read(content, 200).event


def test_an_event_has_graphs_defaults() -> None:
    """What a look does not find says no, but a response is requested unless denied."""
    expected = Event(
        "notResponded", is_organizer=False, is_cancelled=False, response_requested=True
    )
    assert expected == read({"responseStatus": {"response": "notResponded"}}, 200).event


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00Z", "", None, 7, "yesterday", "2026-10-21T07:00:00", "9" * 40]
)
def test_an_answer_without_a_time_is_of_unknown_age(time: object) -> None:
    """Where Graph does not say when an answer was given, nobody knows."""
    event = read({"responseStatus": {"response": "accepted", "time": time}}, 200).event
    assert event is not None
    assert event.answered_at is None


@pytest.mark.parametrize("status", [None, {}, {"response": None}, {"response": ""}])
def test_a_response_that_is_null_is_none(status: object) -> None:
    """Where an event shows no response, there is none, as on a page of a calendar."""
    event = read({"responseStatus": status, "isOrganizer": True}, 200).event
    assert event is not None
    assert "none" == event.response


@pytest.mark.parametrize(
    "content",
    [
        {"responseStatus": "declined"},
        {"responseStatus": 7},
        {"responseStatus": {"response": ["declined"]}},
        {"isOrganizer": True},
        {"error": {"code": "x"}, "responseStatus": {"response": "declined"}},
    ],
)
def test_what_is_no_event_shows_nothing(content: dict[str, Any]) -> None:
    """A look that does not show the response has shown nothing."""
    assert read(content, 200).event is None


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        (b"", {}, False),
        (b"", {"Content_Length": "0"}, False),
        (b" ", {}, True),
        (b"<html>", {}, True),
        (b"", {"Content_Length": "40"}, True),
    ],
)
def test_a_body_counts_from_its_announcement(
    content: bytes, headers: dict[str, str], *, expected: bool
) -> None:
    """A reply has a body if one came, or was announced and broke off."""
    assert expected is read(content, 202, **headers).has_body


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padding", ["", "="])
@pytest.mark.parametrize(
    "text", [CLAIMS, CLAIMS + " ", CLAIMS + "  ", '{"access_token":{"a":"\u00ff\u00fe?>"}}']
)
def test_the_claims_of_a_challenge_are_decoded(encode: Any, padding: str, text: str) -> None:
    """Both alphabets of base64, padded or not, give the JSON that the next token wants."""
    claims = encode(text.encode()).decode().rstrip("=" if padding else "")
    challenge = f'Bearer realm="", error="insufficient_claims", claims="{claims}"'
    assert text == read(b"", 401, www_authenticate=challenge).claims


@pytest.mark.parametrize(
    ("status", "challenge"),
    [
        (401, 'Bearer realm="", error="invalid_token"'),
        (401, 'Bearer claims="!!!"'),
        (401, 'Bearer claims="A"'),
        (401, 'Bearer claims="bm8gSlNPTg=="'),
        (401, 'Bearer claims="W10="'),
        (403, f'Bearer claims="{base64.b64encode(CLAIMS.encode()).decode()}"'),
    ],
)
def test_what_is_no_challenge_gives_no_claims(status: int, challenge: str) -> None:
    """Only a 401 with a JSON object in its claims asks for another token."""
    assert read(b"", status, www_authenticate=challenge).claims is None


@pytest.mark.parametrize(
    "claims", ["{}", '{"access_token": 5}', '{"access_token": null}', '{"access_token": []}', "[]"]
)
def test_claims_of_another_shape_are_none(claims: str) -> None:
    """Only claims of the shape that Entra ID documents are handed on."""
    challenge = f'Bearer claims="{base64.b64encode(claims.encode()).decode()}"'
    assert read(b"", 401, www_authenticate=challenge).claims is None


def test_of_several_waits_the_longest_counts() -> None:
    """A Retry-After that comes in several lines asks for the longest of them."""
    headers = CIMultiDict([("Retry-After", "1"), ("Retry-After", "6")])
    reply = read_reply(429, headers, b"", arrived_at=ARRIVED, duration_ms=1.0)
    assert 6.0 == reply.retry_after_s


def test_what_broke_off_may_have_had_a_body() -> None:
    """A reply that did not come to its own end counts as one with a body."""
    headers = CIMultiDict[str]()
    reply = read_reply(202, headers, b"", arrived_at=ARRIVED, duration_ms=1.0, whole=False)
    assert reply.has_body


def test_the_challenge_may_stand_in_a_later_header() -> None:
    """All WWW-Authenticate headers are searched for claims."""
    headers = CIMultiDict(
        [
            ("WWW-Authenticate", 'Basic realm="proxy"'),
            ("WWW-Authenticate", f'Bearer claims="{base64.b64encode(CLAIMS.encode()).decode()}"'),
        ]
    )
    reply = read_reply(401, headers, b"", arrived_at=ARRIVED, duration_ms=1.0)
    assert reply.claims == CLAIMS


def test_an_id_that_could_break_a_log_line_is_dropped() -> None:
    """A request id with blanks, control or broken characters is not one."""
    hostile = ("two words", "a\x1b[31m", "\udcff", "x" * 129)
    assert {read(b"", request_id=request_id).request_id for request_id in hostile} == {None}


def test_a_long_code_is_cut() -> None:
    """A code goes into every log line, so it has a length."""
    code = read({"error": {"code": "x" * 5000}}).code
    assert code == "x" * 128


def test_texts_of_graph_stay_out_of_repr() -> None:
    """Neither a message nor claims appear where a reply is printed."""
    shown = repr(
        Reply(status=400, message="m-text", claims="c-text", arrived_at=ARRIVED, duration_ms=1)
    )
    assert "m-text" not in shown
    assert "c-text" not in shown
