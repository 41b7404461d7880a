# The service in a container, on CPUs: docker build -t echo-asr . ; docs/serving.md has how it is run.
FROM python:3.12-slim

WORKDIR /src
COPY pyproject.toml README.md LICENSE NOTICE constraints-cpu.txt ./
COPY src ./src
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
      -c constraints-cpu.txt '.[av,pretrained,serve,wyoming]' \
 && rm -rf /src \
 && useradd --create-home --uid 10001 echo

USER echo
WORKDIR /home/echo
EXPOSE 8000 10300
HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=5)"]
ENTRYPOINT ["echo-asr", "serve", "--host", "0.0.0.0"]
CMD ["/models/mine"]
