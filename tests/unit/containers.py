# SPDX-License-Identifier: Apache-2.0
"""compose/compose.yaml and Dockerfile, without docker: well-formed, the same as the scripts run by, with
no more rights than needed, and understood by the program."""

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "compose"
ONCE = {"setup"}  # runs to its end
ROOTLESS = {"apache/kafka", "apicurio/apicurio-registry", "orderlog"}  # images with a user of their own


def expect(what, condition, detail=""):
    if not condition:
        sys.exit(f"FAILED: {what}\n{detail}")
    print(f"holds  {what}")


def run(*command, **environment):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=dict(os.environ, **environment))
    return done.returncode, done.stdout


def shell(script):
    """What the scripts' own functions print."""
    status, said = run("bash", "-euo", "pipefail", "-c", f". {COMPOSE}/system.sh; {script}",
                       ORDERLOG_DATA="/nowhere")
    expect(f"{script} runs", status == 0, said)
    return said.splitlines()


def interpolate(value, variables):
    """${NAME:-default} and ${NAME:?why}, as compose does."""
    def put(match):
        name, default = match[1], match[2]
        if name in variables:
            return variables[name]
        expect(f"${name} has a default or is in .env", default is not None, value)
        return default

    return re.sub(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}", put, value)


def main():
    program, tools = sys.argv[1], Path(sys.argv[2])
    status, made = run(COMPOSE / "containers")
    expect("compose.yaml is what compose/containers makes of the scripts",
           status == 0 and made == (COMPOSE / "compose.yaml").read_text(),
           "run: compose/containers > compose/compose.yaml")
    status, said = run(tools / "check-jsonschema", "--builtin-schema", "vendor.compose-spec",
                       COMPOSE / "compose.yaml")
    expect("compose.yaml keeps to the Compose Specification", status == 0, said)
    status, said = run(tools / "hadolint", COMPOSE / "Dockerfile")
    expect("hadolint finds nothing wrong with the Dockerfile", status == 0, said)

    users = re.findall(r"^USER (\S+)$", (COMPOSE / "Dockerfile").read_text().rpartition("\nFROM ")[2], re.MULTILINE)
    expect("the image's user is a number that is not root's", users and users[-1].isdigit() and users[-1] != "0")

    variables = dict(line.split("=", 1) for line in run(COMPOSE / "containers", "--env")[1].splitlines()
                     if not line.startswith("#"))
    compose = yaml.safe_load(interpolate((COMPOSE / "compose.yaml").read_text(), variables))
    services = compose["services"]
    for name, service in services.items():
        image = service["image"].split(":")[0]
        expect(f"{name} is no root, gains no rights and is asked how it is",
               (image in ROOTLESS or "user" in service) and service.get("user") not in ("root", "0") and
               service["cap_drop"] == ["ALL"] and "no-new-privileges:true" in service["security_opt"] and
               (image == "orderlog" or "healthcheck" in service), service)
        expect(f"{name} has one version of its image", image == "orderlog" or
               re.search(r":v?\d[\w.]*$", service["image"]), service["image"])
        expect(f"{name} is reached from this machine only",
               all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), service.get("ports"))
        expect(f"{name} waits for what there is", set(service.get("depends_on", {})) <= set(services))
        volumes = {volume.split(":")[0] for volume in service.get("volumes", [])}
        configs = {config["source"] for config in service.get("configs", [])}
        expect(f"{name} mounts what there is", volumes <= set(compose["volumes"]) and
               configs <= set(compose["configs"]), (volumes, configs))

    roles = [line.split() for line in shell('printf "%s\\n" "${roles[@]}"')]
    expect("every role of the scripts is a service with the same command",
           all(services[name]["command"] == command for name, *command in roles), roles)
    versions = dict(line.split("=") for line in shell(
        'printf "%s=%s\\n" kafka "$KAFKA_VERSION" registry "$APICURIO_VERSION" postgres "$POSTGRES_VERSION"'))
    expect("servers have the versions of the scripts",
           all(services[name]["image"].split(":")[1] == version for name, version in versions.items()), versions)

    # As the scripts would write it into the broker's file.
    settings = dict(line.split("=", 1) for line in shell("kafka_settings 1"))
    found = {key: str(value) for key, value in services["kafka"]["environment"].items()}
    expect(f"the broker has the {len(settings)} settings of the scripts' brokers",
           all(found[f"KAFKA_{name.upper().replace('.', '_')}"] == value for name, value in settings.items()))
    settings = [line.replace(" ", "") for line in shell("postgres_settings")]
    expect("PostgreSQL has the settings of the scripts'", set(settings) <= set(services["postgres"]["command"]))
    settings = dict(line.split("=", 1) for line in shell("registry_settings postgres:5432"))
    expect("the registry has the settings of the scripts'",
           settings.items() <= services["registry"]["environment"].items(), settings)

    asked = dict(line.split(" = ") for line in shell("orderlog_settings"))
    asked |= {"kafka.bootstrap.servers": "kafka:9092", "metrics.port": "18100", "log.format": "json"}
    for name, *command in roles + [["setup", "setup"]]:
        environment = {key: str(value) for key, value in services[name]["environment"].items()}
        status, said = run(program, *command, "--print-config", **environment)
        taken = {key.strip(): value.split("#")[0].strip() for key, _, value in
                 (line.partition("=") for line in said.splitlines() if "=" in line and line[0] != "#")}
        shown = {key: value for key, value in asked.items() if key in taken}
        expect(f"{name} understands its {len(environment)} variables",
               status == 0 and shown and all(taken[key] == value for key, value in shown.items()), said)
        if name in ("gateway", "query"):
            expect(f"{name} listens to other containers", taken[f"{name}.host"] == "0.0.0.0", said)


if __name__ == "__main__":
    main()
