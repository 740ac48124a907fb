#!/bin/sh
# What somebody would type to bring up the same site: the same programs, installed and started, with
# the app's source in /tmp/app.tar.gz. The yardstick of `make bench`; nothing is checked or kept safe.
set -eu
export DEBIAN_FRONTEND=noninteractive

apt-get update -qq
apt-get install -qq --no-install-recommends redis-server nginx ca-certificates python3-venv >/dev/null

printf 'maxmemory 256mb\nmaxmemory-policy allkeys-lfu\nsave ""\n' >>/etc/redis/redis.conf
systemctl restart redis-server

useradd --system --home-dir /srv/pulse --shell /usr/sbin/nologin pulse
mkdir -p /srv/pulse/code /opt/uv
tar -xzf /tmp/app.tar.gz -C /srv/pulse/code
python3 -m venv /opt/uv
/opt/uv/bin/pip install --quiet uv==0.13.9
cd /srv/pulse/code
export UV_SYSTEM_CERTS=1 UV_PROJECT_ENVIRONMENT=/srv/pulse/venv
/opt/uv/bin/uv sync --quiet --locked --no-dev --no-editable --compile-bytecode
/opt/uv/bin/uv pip install --quiet --python /srv/pulse/venv gunicorn==27.0.1 python-dotenv==1.2.4

cat >/etc/systemd/system/pulse.service <<UNIT
[Service]
User=pulse
WorkingDirectory=/srv/pulse/code
RuntimeDirectory=pulse
Environment=FLASK_SECRET_KEY=$(head -c 32 /dev/urandom | base64) REDIS_URL=redis://127.0.0.1:6379/0
Environment=FLASK_CACHE_TYPE=RedisCache FLASK_CACHE_REDIS_URL=redis://127.0.0.1:6379/0
ExecStart=/srv/pulse/venv/bin/gunicorn -w 5 --threads 4 -b unix:/run/pulse/http.sock pulse:create_app()
[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --quiet --now pulse

cat >/etc/nginx/sites-available/default <<'SITE'
server {
    listen 80 default_server;
    location / {
        proxy_pass http://unix:/run/pulse/http.sock;
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
    }
    location /static/ { alias /srv/pulse/code/pulse/static/; }
}
SITE
systemctl restart nginx
