# Signpost in a container: its own environment, no compiler, no root.
#   docker build -t signpost .
#   docker run -v ./signpost.yaml:/etc/signpost/signpost.yaml:ro -v signpost:/var/lib/signpost -p 8080:8080 signpost
# In the configuration, listen on 0.0.0.0:8080 and keep the store in /var/lib/signpost.

FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements.lock .
RUN python -m venv /opt/signpost \
    && /opt/signpost/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
RUN /opt/signpost/bin/pip install --no-cache-dir --no-build-isolation --no-deps . \
    && /opt/signpost/bin/python -m compileall -q /opt/signpost/lib

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/signpost --create-home signpost
COPY --from=build /opt/signpost /opt/signpost
ENV PATH=/opt/signpost/bin:$PATH \
    SIGNPOST_CONFIG=/etc/signpost/signpost.yaml \
    SIGNPOST_CACHE=/var/lib/signpost/cache
USER signpost
WORKDIR /var/lib/signpost
VOLUME /var/lib/signpost
EXPOSE 8080 2525
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/livez', timeout=4)"]
ENTRYPOINT ["signpost"]
CMD ["run"]
