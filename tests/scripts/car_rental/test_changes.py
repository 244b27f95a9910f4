"""Changes as data: described as done, as planned, and counted by kind."""

import pytest
from car_rental.changes import Change, Verb, summary

TOPIC = Change("topic", "t", Verb.REMOVED)
ROLE, DRIFTED = Change("role", "a", Verb.UNCHANGED), Change("role", "b", Verb.RESTORED, ("tags",))
GROUP, RULE = Change("log group", "/a/b", Verb.CREATED), Change("rule", "r", Verb.CREATED)


@pytest.mark.parametrize(
    ("existed", "changed", "done", "planned"),
    [
        (False, ["policy"], "created", "create"),
        (True, ["policy", "tags"], "updated (policy, tags)", "change (policy, tags)"),
        (True, [], "unchanged", "leave as it is"),
    ],
)
def test_a_change_is_described_as_done_and_as_planned(existed, changed, done, planned):
    change = Change.of("topic", "t", existed=existed, changed=changed)
    assert (change.done, change.planned) == (done, planned)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([Change("role", "a", Verb.CREATED), Change("role", "b", Verb.CREATED)], "2 roles created"),
        ([ROLE, DRIFTED], "role unchanged; role restored (tags)"),
        ([GROUP, RULE, TOPIC], "log group, rule created; topic removed"),
        ([], ""),
    ],
)
def test_changes_are_summarised_by_kind(changes, words):
    assert summary(changes) == words
