"""Questions of the demo: the data of the last model, the models that stand on a DataNet, absences and bans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openledger.errors import TransactionFailed
from openledger.exit_codes import ExitCode
from openledger_cli.demo import cast
from openledger_cli.demo.stage import Stage, must

if TYPE_CHECKING:
    from abci_app.modules.models.lineage import CleanQuery, LineagePage
    from abci_app.modules.models.records import RunDraft


def ask_lineage(stage: Stage) -> None:
    """The question that the chain exists for, with the real command; then its answer against what really happened."""
    stage.report.say("  What was the last model trained on?\n")
    said = must(
        stage.command("query", "lineage", cast.MODEL, "--bundle", str(stage.bundle_file)), "openledger query lineage"
    )
    stage.report.say("")
    for line in said.output.rstrip().splitlines():
        stage.report.say(f"    {line}")
    verified = [line.strip() for line in said.errors.splitlines() if line.strip().startswith("verified: ")]
    for line in verified:
        stage.report.quote(line)
    stage.report.check("the command verified the answer and says how", len(verified) == 1, said.errors.strip())
    missing = [name for name in _names_to_show() if name not in said.output]
    stage.report.check(
        "the tree names model, base, DataNets, licences and filters", not missing, f"missing: {', '.join(missing)}"
    )
    _check_lineage(stage)


def _about_the_model(datanet_name: str, version: int) -> CleanQuery:
    """Question whether a DataNet's version (0: any) is among the inputs of the last model."""
    from abci_app.modules.models.lineage import CleanQuery

    return CleanQuery(
        entry_id=b"",
        model_name=cast.MODEL,
        model_version=0,
        datanet_id=b"",
        datanet_name=datanet_name,
        datanet_version=version,
    )


def _names_to_show() -> tuple[str, ...]:
    terms = (cast.APACHE, cast.PYTHON, cast.BY, cast.BY_SA)
    return (
        cast.MODEL,
        cast.REFERENCE,
        cast.QUESTIONS,
        *[each.spdx for each in terms],
        "held out",
        "say the same in completion",
    )


def _check_lineage(stage: Stage) -> None:
    """Every ancestor, DataNet version, contributor and licence, and nothing else."""
    from abci_app.modules.licences import terms_id_of
    from abci_app.modules.models.lineage import LineageQuery

    page: LineagePage = stage.query(
        "models",
        "lineage",
        LineageQuery(
            entry_id=b"", model_name=cast.MODEL, model_version=0, frontier=(), limit=1_000, contributions_each=1_000
        ),
    )
    ids = [item.entry_id for item in page.entries]
    expected = [stage.entries[name] for name in ("second", "first", "base")]
    stage.report.check("complete: the model, its parent adapter, the base, and nothing else", ids == expected)
    stage.report.check("nothing is left for a further page", page.frontier == ())
    versions = {(item.name, item.version) for item in page.datanets}
    used = {(cast.REFERENCE, 1), (cast.QUESTIONS, 1), (cast.QUESTIONS, 2)}
    stage.report.check(
        f"every DataNet version: {', '.join(f'{name} {number}' for name, number in sorted(used))}",
        versions == used,
        str(versions),
    )
    people = {item.accepted.contributor for datanet in page.datanets for item in datanet.contributions}
    names = [*cast.REFERENCE_CONTRIBUTORS, *cast.QUESTION_CONTRIBUTORS, cast.LATER_CONTRIBUTOR]
    stage.report.check(
        f"all {len(names)} contributors: {', '.join(names)}", people == {stage.address(name) for name in names}
    )
    terms = {item.terms_id for item in page.terms}
    used_terms = {terms_id_of(each) for each in (cast.APACHE, cast.PYTHON, cast.BY, cast.BY_SA)}
    stage.report.check("all four licences that meet in it", terms == used_terms)


def ask_impact(stage: Stage) -> None:
    """Which models stand on version 1 of the questions: one directly, one through its parent."""
    from abci_app.modules.models.impact import ImpactQuery

    stage.report.say(f"\n  Which models used {cast.QUESTIONS}, version 1?\n")
    said = must(stage.command("query", "impact", cast.QUESTIONS, "--version", "1"), "openledger query impact")
    for line in said.output.rstrip().splitlines():
        stage.report.say(f"    {line}")
    page = stage.query(
        "models",
        "impact",
        ImpactQuery(
            datanet_id=b"", name=cast.QUESTIONS, version=1, direct_only=0, after_number=0, frontier=(), limit=100
        ),
    )
    found = [(item.entry_id, item.direct) for item in page.entries]
    stage.report.check(
        "proven complete: the first fine-tune directly, the second through it, no other",
        (found, page.more) == ([(stage.entries["first"], 1), (stage.entries["second"], 0)], 0),
        str(page.entries),
    )
    page = stage.query(
        "models",
        "impact",
        ImpactQuery(datanet_id=b"", name=cast.EXAM, version=1, direct_only=0, after_number=0, frontier=(), limit=100),
    )
    stage.report.check(f"proven: no model stands on {cast.EXAM}", (page.entries, page.more) == ((), 0))


def ask_clean(stage: Stage) -> None:
    """Is the exam in there? Not among what was declared; below the imported base nobody can say."""
    from abci_app.modules.models.lineage import CleanAnswer

    stage.report.say(f"\n  Is {cast.EXAM} among what {cast.MODEL} was trained on?\n")
    said = must(stage.command("query", "clean", cast.MODEL, cast.EXAM), "openledger query clean")
    for line in said.output.rstrip().splitlines():
        stage.report.say(f"    {line}")
    exam = stage.query("models", "clean", _about_the_model(cast.EXAM, 0))
    stage.report.check(
        "proven: not among the declared inputs; unknown below the imported base, which is named",
        (exam.answer, exam.found, [item.entry_id for item in exam.unknown_below])
        == (CleanAnswer.UNKNOWN_BELOW, (), [stage.entries["base"]]),
        str(exam),
    )
    other = stage.query("models", "clean", _about_the_model(cast.QUESTIONS, 1))
    stage.report.check(
        f"proven: {cast.QUESTIONS} version 1 is there, through the first fine-tune",
        (other.answer, [hit.entry_id for hit in other.found]) == (CleanAnswer.PRESENT, [stage.entries["first"]]),
        str(other),
    )


def refuse_clash(stage: Stage) -> None:
    """Share-alike questions mixed with a non-commercial share-alike exam: no licence satisfies both."""
    from abci_app.modules.models.codes import ModelsCode
    from abci_app.modules.models.records import RecordRuns
    from trainer.publish import entry_text

    path = stage.folder / "clash.yaml"
    path.write_text(cast.clashing_recipe(entry_text(stage.entries["base"]), stage.pace), encoding="utf-8")
    said = stage.command("train", str(path), "--check")
    for line in said.errors.strip().splitlines():
        stage.report.quote(line)
    parents = (cast.QUESTIONS, cast.EXAM)
    clash = [line for line in said.errors.splitlines() if all(name in line for name in parents)]
    stage.report.check(
        "refused before any training, with both parents named in one line",
        said.code == ExitCode.REFUSED and bool(clash),
        f"exit code {said.code}",
    )
    try:
        stage.client.send(stage.signer(cast.BUILDER), RecordRuns((_clashing_run(stage),))).wait()
    except TransactionFailed as failure:
        stage.report.quote(str(failure))
        named = all(name in failure.text for name in parents)
        stage.report.check(
            "the chain refuses such a run as well, with both parents named",
            named and (failure.code, failure.codespace) == (ModelsCode.TERMS_CLASH, "models"),
            f"code {failure.code}",
        )
    else:
        stage.report.check("the chain refuses such a run as well", False, "it was recorded")


def _clashing_run(stage: Stage) -> RunDraft:
    """The first fine-tune's record, with the exam in place of the reference."""
    from msgspec import structs

    from abci_app.modules.models.queries import EntryQuery
    from abci_app.modules.models.records import RunDraft

    stored = stage.query("models", "entry", EntryQuery(stage.entries["first"])).stored
    inputs = tuple(
        [
            structs.replace(item, datanet_id=stage.datanets[cast.EXAM])
            if item.datanet_id == stage.datanets[cast.REFERENCE]
            else item
            for item in stored.entry.inputs
        ]
    )
    return RunDraft(entry=structs.replace(stored.entry, inputs=inputs), run=stored.first_run, model_id=b"", label="")
