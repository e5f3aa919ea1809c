"""Workers: Celery tasks and the programs they run; pictures in, values out."""
