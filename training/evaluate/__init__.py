"""Student against teacher: how near a trained model comes to the workflow it was distilled from, in numbers and pictures.

cases        held-out pairs, as the student gets them
run          the student's results, timed
evaluation   all the numbers
measures     L1, PSNR, SSIM, LPIPS (private to the room)
memory       a meter for peak memory
page         numbers and pictures as a page
"""

__all__ = ["cases", "evaluation", "memory", "page", "run"]
