"""A checkpoint's folder in, the model in memory and all that an export must know of it out.

Refuses what would make a wrong bundle: weights that are missing, a tokeniser that does not belong to them, an
architecture that the graph cannot express. A model's own code is never run.
"""

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from engine.bundle import ModelInfo
from exporters import architectures, verify
from exporters.checkpoint import Checkpoint
from exporters.errors import ExportError, SourceError, UnsupportedModelError, is_disk_full
from exporters.vocabulary import Vocabulary, read_vocabulary


@dataclass(frozen=True)
class LoadedModel:
    """A checkpoint in memory, in fp32."""

    model: Any
    tokenizer: Any
    vocabulary: Vocabulary
    info: ModelInfo


def load(checkpoint: Checkpoint, *, context: int) -> LoadedModel:
    """Load a checkpoint in fp32, to serve sequences of at most `context` tokens.

    Raises:
        SourceError: It is incomplete or broken.
        UnsupportedModelError: It is sound, but of a kind that does not export.
    """
    transformers.logging.set_verbosity_error()
    logging.getLogger("optimum").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _read(checkpoint, context)
    except ExportError:
        raise
    except Exception as error:  # what transformers, safetensors, tokenizers and jinja raise shares no base class
        if is_disk_full(error):
            raise
        reason = str(error) or type(error).__name__
        raise SourceError(f"{checkpoint.source} cannot be loaded: {reason[:300]}") from error


def _read(checkpoint: Checkpoint, context: int) -> LoadedModel:
    """Load config, weights and tokeniser; a model's own code is never run."""
    path = checkpoint.path
    config = AutoConfig.from_pretrained(path, trust_remote_code=False)
    architectures.require_supported(config)
    model, report = AutoModelForCausalLM.from_pretrained(
        path, dtype=torch.float32, attn_implementation="eager", trust_remote_code=False, output_loading_info=True
    )
    # transformers fills what is missing with random numbers, and no later check could tell.
    lacking = sorted((*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])))
    if lacking:
        raise SourceError(
            f"{checkpoint.source} lacks {len(lacking)} of the model's weights, for instance {lacking[0]}; "
            "get a complete checkpoint"
        )
    if not (path / "tokenizer.json").exists():
        raise SourceError(f"{checkpoint.source} has no tokenizer.json; copy it from the model that it was made from")
    tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    info = _model_info(config, model, context)
    if len(tokenizer) > info.vocabulary:
        raise SourceError(
            f"{checkpoint.source} has a tokeniser of {len(tokenizer)} tokens for a model of {info.vocabulary}; "
            "get the tokeniser that belongs to the weights"
        )
    return LoadedModel(model.eval(), tokenizer, read_vocabulary(tokenizer, _generation_config(path)), info)


def _model_info(config: Any, model: Any, context: int) -> ModelInfo:
    sizes = architectures.dimensions(config)
    context = min(sizes.context, context)
    if context < verify.SHORTEST_CONTEXT:
        raise UnsupportedModelError(
            f"a context of {context} tokens is less than the {verify.SHORTEST_CONTEXT} that an export is checked "
            "with; choose a larger --context, or another model"
        )
    return ModelInfo(
        architecture=config.model_type,
        layers=sizes.layers,
        heads=sizes.heads,
        kv_heads=sizes.kv_heads,
        head_size=sizes.head_size,
        vocabulary=sizes.vocabulary,
        context=context,
        parameters=model.num_parameters(),
    )


def _generation_config(path: Path) -> Any:
    try:
        return GenerationConfig.from_pretrained(path)
    except OSError:  # many fine-tuned folders have none
        return GenerationConfig()
