"""Small programs for the Python in a container: what they print is JSON."""

DEMO_MODEL = "from appliance.inference.demo import PORCH_DEMO; print(PORCH_DEMO)"
"""The one that prints a bare path: where the demo's detector lies."""

PROCESSES = r"""
import json, os
found = []
for pid in filter(str.isdigit, os.listdir('/proc')):
    try:
        status = dict(line.split(':\t', 1) for line in open(f'/proc/{pid}/status').read().splitlines())
        words = open(f'/proc/{pid}/cmdline').read().split('\0')
    except OSError:
        continue
    found.append([' '.join(words), status['Uid'].split(), status['CapEff'], status['CapBnd'], status['NoNewPrivs']])
print(json.dumps(found))
"""
"""Of each: command line, user ids, effective and bounding capabilities, no_new_privs."""

LEFT = """
import json, os
print(json.dumps([os.listdir('/dev/shm'), os.listdir('/dev/mqueue')]))
"""
"""What lies in shared memory, and which queues there are."""

WELL = """
import json
from appliance import health
from appliance.ipc.heartbeat import fresh_heartbeats
folder = health.find(None)
beats = fresh_heartbeats(folder) if folder else {}
wrong = health.troubles(beats) if folder else ['nothing runs here']
print(json.dumps([wrong, {name: beat.started_wall_ns / 1e9 for name, beat in beats.items()}]))
"""
"""What is wrong, and when each process was started."""

FOUND = """
import glob, importlib.util, json, os, stat
programs = set('gcc cc c++ g++ clang ld as make strip pip pip3 uv git curl wget'.split())
found, special, uncompiled = [], [], []
for folder, folders, files in os.walk('/'):
    folders[:] = [name for name in folders if not os.path.ismount(os.path.join(folder, name))]
    for name in files:
        path = os.path.join(folder, name)
        if name in programs and os.access(path, os.X_OK):
            found.append(path)
        if os.lstat(path).st_mode & (stat.S_ISUID | stat.S_ISGID):
            special.append(path)
        if name.endswith('.py') and '/site-packages/' in path:
            if not os.path.exists(importlib.util.cache_from_source(path)):
                uncompiled.append(path)
    found += [os.path.join(folder, name) for name in folders if name in ('pip', 'ensurepip')]
print(json.dumps([found, special, uncompiled]))
"""
"""Programs that build or fetch; files with setuid or setgid; modules that are not compiled."""

WEIGHTS = """
import json, os, sys
from importlib.metadata import distributions
site = next(path for path in sys.path if path.endswith('site-packages'))
owner = {file.parts[0]: each.name for each in distributions(path=[site]) for file in each.files or ()}
weights = {}
for folder, folders, files in os.walk('/'):
    folders[:] = [name for name in folders if not os.path.ismount(os.path.join(folder, name))]
    for name in files:
        path = os.path.join(folder, name)
        if path.startswith(site):
            part = owner.get(path[len(site) + 1:].split('/')[0], 'site-packages, besides')
        elif path.startswith('/usr/lib/python3'):
            part = "Python's library"
        else:
            part = 'Debian'
        weights[part] = weights.get(part, 0) + os.lstat(path).st_size
print(json.dumps(weights))
"""
"""Bytes of each part: Debian, Python's library, each distribution."""
