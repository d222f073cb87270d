"""Conversations as one text, by the template that a published folder brings."""

from weft.data.chat.rendering import Limits, Message, render
from weft.data.chat.template import ChatTemplate, chat_files, read_chat

__all__ = ["ChatTemplate", "Limits", "Message", "chat_files", "read_chat", "render"]
