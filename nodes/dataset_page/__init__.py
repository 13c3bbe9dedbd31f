"""The server's side of the page of datasets: thin routes over ``training.dataset.curation``.

registration   opens the routes in ComfyUI's server
routes         the addresses, which load the page when it is first asked for
page           what is answered, one handler an address
labels         what is told of labels, and decided about them
answers        pairs as the page reads them, and which errors it is told
requests       what the page may send
opened         the datasets that are being looked at
"""

__all__ = ["registration"]
