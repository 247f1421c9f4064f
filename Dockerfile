# Signpost in a container: its own environment, no compiler, no pip, no root. docs/howto/docker.md goes through it.
#   docker build -t signpost .
# With the libraries of the sentence encoder (docs/howto/embed.md):  --build-arg REQUIREMENTS=requirements-embed.lock
# In the configuration listen on 0.0.0.0:8080 (the health check asks there) and keep an SQLite store in
# /var/lib/signpost, the only place that is written to besides /tmp: the rest may be read-only.

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv --without-pip /opt/signpost
# The dependencies are a layer of their own: a change of the program doesn't fetch them again.
ARG REQUIREMENTS=requirements.lock
COPY requirements.lock requirements-embed.lock ./
RUN pip --python /opt/signpost/bin/python install --disable-pip-version-check --no-cache-dir --require-hashes \
    --requirement "$REQUIREMENTS"
COPY pyproject.toml README.md LICENSE ./
COPY router router
COPY channels channels
COPY classifiers classifiers
COPY config config
RUN pip --python /opt/signpost/bin/python install --disable-pip-version-check \
    --no-cache-dir --no-build-isolation --no-deps .

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/signpost --create-home --shell /usr/sbin/nologin signpost
COPY --from=build /opt/signpost /opt/signpost
ENV PATH=/opt/signpost/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    CREDENTIALS_DIRECTORY=/run/secrets \
    SIGNPOST_CONFIG=/etc/signpost/signpost.yaml \
    SIGNPOST_CACHE=/var/lib/signpost/cache
USER 10001
WORKDIR /var/lib/signpost
VOLUME /var/lib/signpost
EXPOSE 8080 2525
STOPSIGNAL SIGTERM
# The first start trains the model. Asked directly, whatever proxy the environment names.
HEALTHCHECK --interval=30s --timeout=5s --start-period=180s --retries=3 \
    CMD ["python", "-c", "import http.client as h, sys; c = h.HTTPConnection('127.0.0.1', 8080, timeout=4); c.request('GET', '/livez'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["signpost"]
CMD ["run"]
