"""The server's side of ACE Chat: conversations are kept here, and every turn becomes a graph of the pack's own nodes.

conversation   the conversations themselves, and what is made of them; knows neither routes nor the host
answer         the node Chat Answer, with which a turn's graph ends
registration   what ComfyUI gives: its folders, its queue, its menus
routes         the addresses, which load the page when it is first asked for
page           what is answered about conversations and their turns, one handler an address
pictures       what is answered about pictures
dependencies   what the page needs of a host, as functions
requests       what the page may send
"""

__all__ = ["answer", "registration"]
