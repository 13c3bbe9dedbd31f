"""Conversations: trees of turns on disk, and what is made of them. Nothing here knows the host or the page.

tree          a conversation: its turns, the path to one, the rounds that a turn sends
wording       an instruction out of words and pictures
store         conversations in a folder, changed one at a time
images        pictures by their content, masks in their alpha channel
folder        the folder of one conversation (private to the room)
graph         a turn, or all rounds of a branch, as a graph of the pack's nodes
layout        where such a graph's nodes stand (private to the room)
pairs         turns as pairs of a dataset, with their history
export        a conversation as a folder that anybody can read
suggestions   phrasings of the pack's instructions that fit what is being typed
rewriting     an instruction in better words, by a language model
errors        why something cannot be done
"""

__all__ = ["errors", "export", "graph", "images", "pairs", "rewriting", "store", "suggestions", "tree", "wording"]
