"""A plan as a Workflow Run RO-Crate: JSON-LD that says which runs of which program made what from what.

Source: RO-Crate 1.1, https://w3id.org/ro/crate/1.1, and the profiles Process Run Crate and Workflow Run Crate 0.5,
https://w3id.org/ro/wfrun/workflow/0.5 (Leo et al. 2024, doi:10.1371/journal.pone.0309210).
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

from gencli.errors import GencliError
from gencli.replay import shell
from gencli.replay.plan import Job, Outside, Path, Place, Plan

SCRIPT = "make.sh"
_PROFILES = [f"https://w3id.org/ro/wfrun/{name}/0.5" for name in ("process", "workflow")]
_WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"


_SPDX = "https://spdx.org/licenses/"


def crate(plan: Plan, sha256: str, day: str, license: str | None = None) -> str:
    """The text of `ro-crate-metadata.json`, to lie beside the file and the script `make.sh` of `gencli how`.

    What is made on the way, and comes from outside, is described and does not lie there.

    Args:
        sha256, day: of the file, and when it was last changed, YYYY-MM-DD.
        license: an identifier of SPDX, or an address; None for none, which Workflow RO-Crate calls `notspecified`.

    Raises:
        GencliError: the license is neither.
    """
    outside = [_described(each) for each in plan.outside]
    programs = {job.run.step.versions.get("gencli", ""): None for job in plan.jobs}
    entities = [
        *_folder(plan, day, license),
        *_workflow(plan, outside),
        _content(_id(plan.name), plan.name, sha256) | {"@type": "File"},
        *outside,
        *_between(plan),
        *(
            {"@id": f"#gencli-{quote(each)}", "@type": "SoftwareApplication", "name": "gencli", "softwareVersion": each}
            for each in programs
        ),
        *(_action(job, plan) for job in plan.jobs),
    ]
    context = "https://w3id.org/ro/crate/1.1/context"
    terms = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
    return json.dumps({"@context": [context, terms], "@graph": entities}, indent=1, ensure_ascii=True) + "\n"


def _folder(plan: Plan, day: str, license: str | None) -> list[dict[str, Any]]:
    """The metadata file, the folder that it describes, its license, and the profiles that both conform to."""
    terms = None if license is None else {"@id": _address(license)}
    profiles = [{"@id": each} for each in [*_PROFILES, _WORKFLOW_CRATE]]
    return [
        {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "conformsTo": [{"@id": "https://w3id.org/ro/crate/1.1"}, {"@id": _WORKFLOW_CRATE}],
            "about": {"@id": "./"},
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": plan.name,
            "description": f"{plan.name}, and the script that makes it again",
            "datePublished": day,
            "license": terms or "notspecified",
            "conformsTo": profiles,
            "hasPart": [{"@id": _id(plan.name)}, {"@id": SCRIPT}],
            "mainEntity": {"@id": SCRIPT},
            "mentions": [{"@id": "#workflow"}, *({"@id": f"#run-{job.number}"} for job in plan.jobs)],
        },
        *({"@id": each["@id"], "@type": "CreativeWork", "name": each["@id"]} for each in profiles),
        *([terms | {"@type": "CreativeWork", "name": license}] if terms else []),
    ]


def _address(license: str) -> str:
    if re.fullmatch(r"https?://[!-~]+", license):
        return license
    if re.fullmatch(r"[A-Za-z0-9.+-]+", license):
        return _SPDX + license
    raise GencliError(f"--license: {license!r:.80}", "give an identifier of SPDX, such as CC-BY-4.0, or an address")


def _workflow(plan: Plan, outside: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The script, its language, and its run as a whole."""
    return [
        {
            "@id": SCRIPT,
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
            "name": f"the script that makes {plan.name}",
            "programmingLanguage": {"@id": "#sh"},
            "text": shell.script(plan),
        },
        {"@id": "#sh", "@type": "ComputerLanguage", "name": "POSIX shell"},
        {
            "@id": "#workflow",
            "@type": "CreateAction",
            "name": f"makes {plan.name}",
            "instrument": {"@id": SCRIPT},
            "object": [{"@id": each["@id"]} for each in outside],
            "result": [{"@id": _id(plan.name)}],
        },
    ]


def _between(plan: Plan) -> list[dict[str, Any]]:
    """What is made on the way."""
    known = {name: job.run.outputs[option] for job in plan.jobs for option, name in job.outputs.items()}
    return [_content(f"#{name}", name, sha256) for name, sha256 in known.items() if name != plan.made]


def _id(name: str) -> str:
    """A name as a relative address."""
    return quote(name)


def _content(identity: str, name: str, sha256: str) -> dict[str, Any]:
    return {"@id": identity, "@type": "CreativeWork", "name": name, "sha256": sha256}


def _described(each: Outside) -> dict[str, Any]:
    return _content(f"#input-{each.number}", each.name, each.sha256)


def _action(job: Job, plan: Plan) -> dict[str, Any]:
    def identity(place: Place) -> dict[str, str]:
        if isinstance(place, Outside):
            return {"@id": f"#input-{place.number}"}
        return {"@id": _id(plan.name) if place.name == plan.made else f"#{place.name}"}

    return {
        "@id": f"#run-{job.number}",
        "@type": "CreateAction",
        "name": f"gencli {job.run.step.command}",
        "description": shell.alone(job),
        "instrument": {"@id": f"#gencli-{quote(job.run.step.versions.get('gencli', ''))}"},
        "object": [identity(each) for each in job.needs],
        "result": [identity(Path(name)) for name in job.outputs.values()],
    }
