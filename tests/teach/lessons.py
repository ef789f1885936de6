"""The lessons that tinygraph ships, each made once: its page, and what the page knows."""

from __future__ import annotations

import functools

from tinygraph.teach.examples import LESSONS
from tinygraph.teach.lesson import lesson_page
from tinygraph.teach.lesson_data import LessonData
from tinygraph.teach.program import record_program

__all__ = ["data_of", "made"]


@functools.cache
def made(name: str) -> str:
    """Return the page of a lesson."""
    return lesson_page(LESSONS[name]())


@functools.cache
def data_of(name: str) -> LessonData:
    """Return what the page of a lesson knows; not to be changed."""
    return LessonData(record_program(LESSONS[name]()))
