#!/usr/bin/python
# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The switch: one generation of an app takes over from another without losing a request."""

from __future__ import annotations

DOCUMENTATION = r"""
module: switch
short_description: Let a new generation of an app take over without losing a request
description:
  - Starts a new generation beside the running one, waits until it has proved itself, makes it the
    live one, retires the old one and prunes, all in one remote call.
  - A generation is a release as it runs, an immutable numbered directory with a link to the
    release, the environment file and the server's configuration, run by C(<name>@<n>.service). All
    generations accept from one systemd socket, which stays open.
  - A new generation proves itself twice. Each worker asks the app for its health path before it
    accepts a request, and the unit is up only when all have; then the switch asks over HTTP on a
    socket of that generation alone and checks which release answers.
  - When the new generation fails, it is stopped and removed, the live one was never touched, and
    the error holds the failing unit's own log lines.
  - The host gets the command C(flaskops), C(/usr/local/bin/flaskops), with which people run an
    app's own commands as it runs, and read its log.
  - How the app runs, and which units are its own, is written to
    C(/etc/flaskops/apps/<name>/app.json).
  - The state is read from the disk and from systemd. What a killed run has left is put right first.
  - When a generation with the same content is live and running, nothing changes.
  - Over several hosts a switch has two phases, so that it happens on all of them or on none.
    O(phase=start) on every host, then O(phase=finish), or O(phase=withdraw) when one has failed.
    These two need O(name) and O(home) only. A generation that was started and is neither finished
    nor withdrawn is stopped after O(lease).
  - A generation that has served can be gone back to with O(rollback), exactly as it ran.
version_added: 0.1.0
author: The flaskops.stack authors
extends_documentation_fragment: [flaskops.stack.deploy_lock]
options:
  phase:
    description:
      - V(whole) does everything, V(start) leaves the new generation running beside the live one,
        V(finish) makes that one live and retires the old one, V(withdraw) stops it again.
    type: str
    choices: [whole, start, finish, withdraw]
    default: whole
  lease:
    description: Seconds after which a generation that was only started is stopped.
    type: int
    default: 900
  rollback:
    description:
      - V(previous), or the release, or the beginning of its name, to go back to. It must have
        served before. What it ran with comes from its generation, not from the other options.
    type: str
    default: ''
  name:
    description:
      - Name of the app; its units are C(<name>.socket), C(<name>.service), C(<name>@<n>.service).
    type: str
    required: true
  home:
    description: Directory that holds C(generations/) and the link C(live).
    type: path
    required: true
  release:
    description: Directory of the release to run, or a link to it.
    type: path
  environment_file:
    description:
      - File on the host in systemd's C(EnvironmentFile) format that is copied into the generation.
      - No file means an empty environment.
    type: path
  files_directory:
    description:
      - Directory on the host with files that are copied into the generation, C(files/), such as
        the app's configuration. The app finds links to them below C(shared/), made as its user.
    type: path
  user:
    description:
      - User that the app runs as; the primary group may read the generation, its environment
        included.
    type: str
  server:
    description: Program that serves the app, C(gunicorn) or C(uwsgi), for people.
    type: str
    default: ''
  bind:
    description: Where O(socket_unit) listens, V(unix:/path) or V(address:port).
    type: str
    default: ''
  files:
    description: Name and text of the files of the generation, such as the server's configuration.
    type: dict
    default: {}
  entrypoint:
    description:
      - The app as C(module:callable) or as a factory's call, as FLASK_APP has it.
      - When empty, the app is found as Flask finds it.
    type: str
    default: ''
  proxy_hops:
    description: Number of trusted proxies in front, each setting the C(X-Forwarded-) headers.
    type: int
    default: 0
  protocol:
    description:
      - What the server speaks on its sockets, HTTP or the binary protocol that is called uwsgi.
    type: str
    choices: [http, uwsgi]
    default: http
  socket_unit:
    description: Text of C(<name>.socket), the public socket.
    type: str
  service_unit:
    description: Text of C(<name>.service), the handle people start and stop.
    type: str
  generation_unit:
    description: Text of C(<name>@<n>.service); C(%i) is the number of the generation.
    type: str
  health:
    description: What the new generation has to answer.
    type: dict
    default: {}
    suboptions:
      path:
        description: URL path, with a query if need be.
        type: str
        default: /
      host:
        description: Host name of the request.
        type: str
        default: localhost
      scheme:
        description: Scheme of the request as the app sees it.
        type: str
        choices: [http, https]
        default: http
      status:
        description: Statuses that pass; any below 500 when empty.
        type: list
        elements: int
        default: []
      text:
        description: Text that the answer has to hold.
        type: str
        default: ''
      timeout:
        description: Seconds for one answer.
        type: int
        default: 10
      more:
        description: Further checks; what one does not say is as above, any status and text.
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description: URL path, with a query if need be.
            type: str
            required: true
          status:
            description: Statuses that pass; any below 500 when empty.
            type: list
            elements: int
          text:
            description: Text that the answer has to hold.
            type: str
          timeout:
            description: Seconds for one answer.
            type: int
      probes:
        description: How often the new generation is asked over HTTP.
        type: int
        default: 3
  processes:
    description:
      - Background processes of the release, such as workers of a queue. They run as the server
        does, in C(<name>.<process>@<n>.service). New ones start with the generation, old ones get
        SIGTERM when it is retired and finish their work.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the process.
        type: str
        required: true
      command:
        description: Command line, for a shell, in the code of the release.
        type: str
        required: true
      count:
        description: How many of them run.
        type: int
        default: 1
      stop_timeout:
        description: Seconds that it has to finish its work.
        type: int
        default: 300
  timers:
    description: Commands of the release that run at times, in C(<name>.<timer>@<n>.timer).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the timer.
        type: str
        required: true
      command:
        description: Command line, for a shell, in the code of the release.
        type: str
        required: true
      schedule:
        description: When, as systemd's C(OnCalendar) has it.
        type: str
        required: true
      timeout:
        description: Seconds that the command has.
        type: int
        default: 3600
  keep:
    description: Generations kept on the disk, the live one and its predecessor always among them.
    type: int
    default: 5
requirements:
  - systemd 249 or newer
"""

EXAMPLES = r"""
- name: Go back to what was live before
  flaskops.stack.switch:
    name: shop
    home: /srv/shop
    rollback: previous

- name: Switch to the release that was built last
  flaskops.stack.switch:
    name: shop
    home: /srv/shop
    release: /srv/shop/next/release
    environment_file: /srv/shop/next/env
    user: shop
    server: gunicorn
    bind: unix:/run/shop/http.sock
    files:
      gunicorn.conf.py: "{{ lookup('ansible.builtin.template', 'gunicorn.conf.py.j2') }}"
    socket_unit: "{{ lookup('ansible.builtin.template', 'app.socket.j2') }}"
    service_unit: "{{ lookup('ansible.builtin.template', 'app.service.j2') }}"
    generation_unit: "{{ lookup('ansible.builtin.template', 'app@.service.j2') }}"
    health:
      path: /healthz
      status: [200]
"""

RETURN = r"""
log:
  description: The last lines of the log, or of what the command has said, that failed.
  returned: failure
  type: str
pending:
  description: The generation was started and is to be finished or withdrawn.
  returned: success
  type: bool
generation:
  description: Number of the live generation, or of the one that was started.
  returned: success
  type: int
  sample: 7
previous:
  description: Number of the generation that was live before, 0 when there was none.
  returned: success
  type: int
  sample: 6
release:
  description: Release that is live.
  returned: success
  type: str
  sample: 3f2a91c04d1b-5e1f9a2c
notes:
  description: What people should know of a generation that works, such as a key of its own.
  returned: success
  type: list
  elements: str
actions:
  description: What was done, in order.
  returned: success
  type: list
  elements: str
  sample: [generation 7 started, generation 7 answered 3 times, generation 6 retired]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskops.stack.plugins.module_utils.generation.entry import perform
from ansible_collections.flaskops.stack.plugins.module_utils.generation.options import OPTIONS
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=OPTIONS,
        supports_check_mode=True,
    )
    outcome = perform(module.params, Systemd(), check_mode=module.check_mode)
    for note in outcome.result.get("notes", ()):
        module.warn(note)
    if outcome.problem:
        module.fail_json(msg=outcome.problem, **outcome.result)
    module.exit_json(**outcome.result)


if __name__ == "__main__":
    main()
