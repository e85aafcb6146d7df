"""`report.html` of a training run, one page that works offline: curves, confusions, worst pictures, recipe, network.

Takes a run's folder and reads only what the training has written there, so a report can be drawn during the training,
after it, and without the data set. Start with `page.py`; `run_folder.py` reads the folder.
"""
