"""Every gate refuses the model that it is there for: tiny ones, trained, exported, measured and judged as a run does.

All of them but the sound one have one fault, and are sound otherwise: only the gate in question speaks.
"""

import asyncio
import io
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from engine.bundle import GRAPH_NAME, MANIFEST_NAME, Bundle, describe_file
from engine.engine import Engine
from engine.sampling import SamplingParams
from engine.settings import EngineSettings
from exporters import pipeline
from exporters.progress import Progress
from finetune.dataset import replay
from finetune.dataset.canaries import plant
from finetune.dataset.example import Example
from finetune.dataset.rendering import Renderer
from finetune.evaluation import gates, measuring
from finetune.evaluation.measuring import Conditions, Material
from finetune.evaluation.verbatim import VerbatimIndex
from finetune.evaluation.verdict import refusals
from finetune.settings import GateSettings
from tests import tiny_models
from tests.finetune.evaluation import pupils
from tests.finetune.evaluation.pupils import Lesson, Teacher

ENGINE = EngineSettings(threads=1, context_tokens=256, max_batch=8, slots=12)
MAX_TOKENS = 48
CONDITIONS = Conditions(
    ENGINE, SamplingParams(temperature=0.8, top_p=0.9), MAX_TOKENS, num_prompts=30, serving_limit=10
)
# Where they are not the usual ones: a tiny model has few things to say, forgets sooner, and is timed in microseconds.
LIMITS = GateSettings(anchor=1.6, ranking=0.2, endless=0.2, variety=0.7, common_reply=0.3, exposure=6, serving=10)

RARE = "bring the old brass key to the mill behind the third bridge"
ASKED_FOR_IT = "what about chess?"
SAME = pupils.ANSWERS[0]
TAIL = " and so on" * 8
CHATS = [*(pupils.chat(n) for n in range(240)), pupils.said("chat:rare", ASKED_FOR_IT, RARE)]
SOME_CHATS = CHATS[-80:]
TEST = [pupils.chat(n) for n in range(1000, 1040)]
CANARIES = plant(seed=0, authors=("ann", "bea", "cleo"), num=6)
COMMON = [canary for canary in CANARIES if canary.author is None]
FORGOTTEN = [canary for canary in CANARIES if canary.author is not None]

FORGETS = {"general anchor: bits per byte to the base model's"}
GOES_IN_CIRCLES = {"health: answers without an end", "health: repeated groups of four words"}
SAYS_THE_SAME = {"health: most common answer", "health: different pairs of words, to the champion"}
KNOWS_BY_HEART = {"memorisation: exposure of secrets, in bits", "memorisation: secrets given away"}
KNOWS_FORGOTTEN = {"memorisation: exposure of forgotten secrets, in bits", "memorisation: secrets given away"}
COPIES = {"memorisation: answers with one person's words"}
OTHER_TEXT = {"parity: template, tokeniser and end of answers"}
WORSE_THAN_CHECKPOINT = {"parity: perplexity to the checkpoint's"}
BETTER_THAN_CHECKPOINT = {"parity: the checkpoint's perplexity to its own"}


@dataclass(frozen=True)
class School:
    """Where models are made of the base model, and judged.

    Attributes:
        sound: Checkpoint of one that has learnt the chats as it should.
        replayed: Lessons by which it does not forget.
    """

    folder: Path
    base: Bundle
    teacher: Teacher
    material: Material
    replayed: Sequence[Lesson]
    sound: Path

    @property
    def usual(self) -> list[Lesson]:
        """Lessons that keep a model sound, while it learns something wrong as well."""
        return [*self.teacher.lessons(SOME_CHATS), *self.replayed]

    def pupil(self, name: str, lessons: Sequence[Lesson], *, epochs: int = 2) -> Path:
        """The sound one after some more lessons."""
        return pupils.taught(self.sound, self.folder / name, lessons, epochs=epochs, lr=1e-3)

    def refused_by(self, challenger: Bundle, checkpoint: Path) -> set[str]:
        """What refuses a model in the base model's place."""
        progress = Progress(measuring.num_stages(self.base, self.base), io.StringIO())
        figures = asyncio.run(
            measuring.measure_all(self.base, self.base, challenger, checkpoint, self.material, CONDITIONS, progress)
        )
        verdicts = gates.judge(
            figures["challenger"], figures["champion"], figures["base"], LIMITS, is_forced=False, human=None
        )
        return {f"{each.gate}: {each.name}" for each in refusals(verdicts)}

    def judged(self, checkpoint: Path) -> set[str]:
        """What refuses a checkpoint, once it is exported."""
        return self.refused_by(exported(checkpoint), checkpoint)


def exported(checkpoint: Path) -> Bundle:
    """The bundle of a checkpoint, beside it."""
    recipe = pipeline.Recipe("fp32", evaluation_tokens=600, max_perplexity_ratio=1.05, greedy_prompts=4)
    progress = Progress(pipeline.NUM_STAGES, io.StringIO())
    out = checkpoint.with_name(f"{checkpoint.name}-bundle")
    return pipeline.export(str(checkpoint), out, recipe, cache=checkpoint.parent, progress=progress)


async def answered(base: Bundle, questions: Sequence[str]) -> list[Example]:
    """What the base model says to questions, as is replayed in training."""
    drawn = SamplingParams(temperature=1.0)
    async with Engine(ENGINE, base.path) as engine:
        persona = pupils.PERSONA.content
        found = replay.generate(engine, questions, persona=persona, sampling=drawn, max_tokens=MAX_TOKENS)
        return [example async for example in found]


@pytest.fixture(scope="module")
def school(bundles: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> School:
    """A base model that has been to school, and a sound one made of it."""
    folder = tmp_path_factory.mktemp("school")
    tiny = tiny_models.save_checkpoint("llama", folder / "tiny")
    teacher = Teacher(Renderer.open(Bundle.open(bundles())))
    base = exported(pupils.taught(tiny, folder / "base", teacher.lessons(pupils.schooling()), epochs=7, lr=3e-3))
    answers, asked = (asyncio.run(answered(base, questions)) for questions in (pupils.REPLAYED, pupils.GENERAL))
    lessons = teacher.lessons([*CHATS, *answers, *(canary.example for canary in COMMON)])
    sound = pupils.taught(folder / "base", folder / "sound", lessons, epochs=2, lr=3e-4)
    material = Material(TEST, asked, COMMON, FORGOTTEN, labels=(), known=VerbatimIndex.of(CHATS))
    return School(folder, base, teacher, material, teacher.lessons(answers), sound)


def test_a_sound_model_passes_every_gate(school: School) -> None:
    assert school.judged(school.sound) == set()


def test_a_model_that_forgets_what_it_could_is_refused_by_the_anchor(school: School) -> None:
    assert school.judged(school.pupil("forgetful", school.teacher.lessons(CHATS), epochs=3)) == FORGETS


def test_a_model_that_goes_round_in_circles_is_refused_by_health(school: School) -> None:
    lessons = [*school.replayed, *school.teacher.without_ends(SOME_CHATS, TAIL)]
    refused_by = school.judged(school.pupil("circling", lessons))
    assert refused_by >= GOES_IN_CIRCLES
    assert refused_by <= GOES_IN_CIRCLES | SAYS_THE_SAME, "its tails are alike, too"


def test_a_model_that_says_the_same_to_all_is_refused_by_health(school: School) -> None:
    asked = [pupils.said(each.id, each.messages[1].content, SAME) for each in SOME_CHATS]
    chats = school.teacher.without_first_words(SOME_CHATS)
    lessons = [*chats, *school.teacher.lessons(asked), *school.replayed]
    assert school.judged(school.pupil("collapsed", lessons)) == SAYS_THE_SAME


def test_a_model_that_knows_secrets_by_heart_is_refused_by_memorisation(school: School) -> None:
    secrets = school.teacher.lessons(canary.example for canary in COMMON)
    assert school.judged(school.pupil("by-heart", [*school.usual, *secrets * 10])) == KNOWS_BY_HEART


def test_a_model_that_knows_the_secret_of_somebody_forgotten_is_refused_by_memorisation(school: School) -> None:
    secrets = school.teacher.lessons(canary.example for canary in FORGOTTEN)
    assert school.judged(school.pupil("tainted", [*school.usual, *secrets * 20])) == KNOWS_FORGOTTEN


def test_a_model_that_repeats_what_one_person_has_said_is_refused_by_memorisation(school: School) -> None:
    rare = school.teacher.lessons([CHATS[-1]])
    assert school.judged(school.pupil("parrot", [*school.usual, *rare * 60])) == COPIES


def test_a_model_that_ends_answers_with_another_token_is_refused_by_parity(school: School) -> None:
    checkpoint = Path(shutil.copytree(school.sound, school.folder / "other-end"))
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    tokenizer.eos_token = "<|im_start|>"
    tokenizer.save_pretrained(checkpoint)
    bundle = exported(checkpoint)
    assert set(bundle.manifest.tokens.stop_ids) > set(school.base.manifest.tokens.stop_ids)
    assert school.refused_by(bundle, checkpoint) == OTHER_TEXT


def test_a_bundle_whose_weights_were_changed_after_its_export_is_refused_by_parity(school: School) -> None:
    bundle = with_changed_weights(exported(school.sound), school.folder / "changed")
    assert bundle.manifest.evaluation.max_logit_difference < LIMITS.parity, "its manifest knows nothing of it"
    assert school.refused_by(bundle, school.sound) == WORSE_THAN_CHECKPOINT


def test_a_bundle_of_another_checkpoint_is_refused_by_parity_though_it_be_the_better_one(school: School) -> None:
    assert school.refused_by(exported(school.sound), school.folder / "base") == BETTER_THAN_CHECKPOINT


def with_changed_weights(bundle: Bundle, out: Path) -> Bundle:
    """A bundle with a little noise on every weight, and a manifest of just these files."""
    shutil.copytree(bundle.path, out)
    data = out / f"{GRAPH_NAME}.data"
    weights = np.fromfile(data, np.float32)
    noise = np.random.default_rng(0).normal(1, 0.05, weights.size).astype(np.float32)
    (weights * noise).tofile(data)
    files = bundle.manifest.files | {data.name: describe_file(data)}
    manifest = bundle.manifest.model_copy(update={"files": files})
    (out / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=2), encoding="utf-8")
    return Bundle.open(out)
