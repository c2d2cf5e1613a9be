"""Prompts as people and programs write them: flags of the command line, and prompts files (JSON)."""

from voxtrace.prompt_text.files import ObjectPrompts, prompts_from_json, read_prompts
from voxtrace.prompt_text.flags import parse_box, parse_box3d, parse_point, parse_recist
from voxtrace.prompt_text.saving import prompts_to_json

__all__ = [
    "ObjectPrompts",
    "parse_box",
    "parse_box3d",
    "parse_point",
    "parse_recist",
    "prompts_from_json",
    "prompts_to_json",
    "read_prompts",
]
