# One image for every role; the command says which: web, worker cpu, worker gpu, sweeper, migrate.
# A build of PyTorch for your GPU: --build-arg TORCH=… and, for its index, --build-arg PIP_EXTRA_INDEX_URL=…
FROM python:3.11-slim

ARG TORCH=torch==2.13.0
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1

RUN useradd --uid 10001 --create-home packshot && mkdir /data && chown packshot:packshot /data
WORKDIR /srv/packshot

# The slow layers first: they change only with the versions.
COPY constraints.txt pyproject.toml README.md ./
RUN pip install -c constraints.txt "$TORCH"
RUN mkdir app workers && pip install -c constraints.txt -e ".[gpu]"

COPY app app
COPY workers workers
COPY migrations migrations
COPY templates templates
COPY models models

USER packshot
ENV PACKSHOT_DATA_DIR=/data
VOLUME /data
EXPOSE 8700
ENTRYPOINT ["packshot"]
CMD ["web"]
