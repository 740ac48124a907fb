"""A small app that says which version of it answers; the test writes others like it."""

import hashlib
import os
import sys
import time

from flask import Flask, request

app = Flask(__name__)


@app.get("/")
def index():
    return {
        "version": os.environ.get("VERSION", ""),
        "release": os.environ["FLASKOPS_RELEASE"],
        "generation": os.environ["FLASKOPS_GENERATION"],
        "server": "uwsgi" if "uwsgi" in sys.modules else "gunicorn",
    }


@app.get("/healthz")
def healthz():
    return "fine"


@app.get("/slow")
def slow():
    time.sleep(2)
    return "slow"


@app.post("/upload")
def upload():
    return hashlib.sha256(request.get_data()).hexdigest()
