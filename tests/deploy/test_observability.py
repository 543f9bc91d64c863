"""deploy/observability: its files parse, fit each other, and speak of metrics that there are."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.config import Settings
from appliance.gateway.metrics import prometheus_name
from appliance.telemetry.metrics import METRICS, Kind, Metric
from tests.rig import ROOT, need_program

FOLDER = ROOT / "deploy" / "observability"
COMPOSE = ("compose.yaml", "compose.direct.yaml")
SCRAPES = ("prometheus.yaml", "prometheus-collector.yaml")
STAND_INS = {"$__rate_interval": "5m", "$__range": "3h", "$instance": ".*", "$camera": ".*"}
"""What Grafana puts in their places."""


def load(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


def dashboard() -> Any:
    return json.loads((FOLDER / "grafana" / "porchlight.json").read_text())


def targets() -> Iterator[tuple[str, str]]:
    """Return each expression of the dashboard, and its legend."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"], target["legendFormat"]


def expressions() -> list[str]:
    """Return them as Grafana sends them."""
    found = []
    for expression, _ in targets():
        for variable, value in STAND_INS.items():
            expression = expression.replace(variable, value)  # noqa: PLW2901
        found.append(expression)
    return found


def services() -> dict[str, Any]:
    found: dict[str, Any] = load("compose.yaml")["services"]
    return found


def published(service: str) -> set[int]:
    return {int(port.rsplit(":", 1)[1]) for port in services()[service]["ports"]}


def samples(metric: Metric) -> dict[str, set[str]]:
    """Return the names of this metric's samples in Prometheus, each with the labels that it can have."""
    name = prometheus_name(metric)
    labels = {label.replace(".", "_") for label in metric.by} | {"instance"}
    labels |= {"camera"} if metric.stage in ("", "capture") else set()
    labels |= {"stage"} if not metric.stage else set()
    match metric.kind:
        case Kind.COUNTER:
            return {f"{name}_total": labels}
        case Kind.GAUGE:
            return {name: labels}
        case Kind.HISTOGRAM:
            return {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}


CATALOGUE = {name: labels for metric in METRICS for name, labels in samples(metric).items()}


def test_every_file_parses() -> None:
    files = [path for path in FOLDER.rglob("*") if path.suffix in (".yaml", ".json")]
    assert len(files) >= 8
    for path in files:
        assert isinstance(yaml.safe_load(path.read_text()), dict), path  # JSON is YAML as well
        assert path.stem not in ("config", "build"), "Home Assistant's store would take it for an add-on's"


def test_every_mount_is_there() -> None:
    for name in COMPOSE:
        for service in load(name)["services"].values():
            for volume in service.get("volumes", ()):
                source, target, *_ = volume.split(":")
                assert target.startswith("/")
                if source.startswith("."):
                    assert (FOLDER / source).exists(), volume
                else:
                    assert source in load(name)["volumes"], volume
    # But the token is the owner's: it is made as the README says, and never committed.
    secret = load("compose.direct.yaml")["secrets"]["porchlight_token"]["file"]
    assert (FOLDER / ".gitignore").read_text().split() == [secret.removeprefix(".")]


def test_nothing_listens_beyond_this_machine_and_every_image_is_pinned() -> None:
    for name, service in services().items():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name
        assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+", service["image"]), name


def test_whoever_is_sent_something_listens_there() -> None:
    collector = load("collector.yaml")
    received = {int(one["endpoint"].rsplit(":", 1)[1]) for one in collector["receivers"]["otlp"]["protocols"].values()}
    assert received == published("collector") == {4317, 4318}
    exporters = collector["exporters"]
    assert exporters["otlp_grpc/jaeger"]["endpoint"] == "jaeger:4317"
    for kind, pipeline in collector["service"]["pipelines"].items():
        assert pipeline["receivers"] == ["otlp"], kind
        assert pipeline["processors"] == ["memory_limiter", "batch"], kind
        assert set(pipeline["exporters"]) <= set(exporters), kind
    limit = collector["processors"]["memory_limiter"]["limit_mib"]
    assert limit < int(services()["collector"]["mem_limit"].removesuffix("m"))

    port = exporters["prometheus"]["endpoint"].rsplit(":", 1)[1]
    assert target_of("prometheus-collector.yaml") == f"collector:{port}"
    host, port = target_of("prometheus.yaml").split(":")
    assert f"{host}:host-gateway" in load("compose.direct.yaml")["services"]["prometheus"]["extra_hosts"]
    assert int(port) == Settings.model_fields["gateway"].get_default(call_default_factory=True).port


def target_of(scrape: str) -> str:
    (job,) = load(scrape)["scrape_configs"]
    ((target,),) = (static["targets"] for static in job["static_configs"])
    return str(target)


def test_prometheus_reads_the_file_that_is_mounted_and_the_token_that_is_given() -> None:
    (flag,) = (word for word in services()["prometheus"]["command"] if word.startswith("--config.file="))
    over = load("compose.direct.yaml")["services"]["prometheus"]
    for volumes, scrape in ((services()["prometheus"]["volumes"], SCRAPES[1]), (over["volumes"], SCRAPES[0])):
        assert f"./{scrape}:{flag.removeprefix('--config.file=')}:ro" in volumes
    (job,) = load("prometheus.yaml")["scrape_configs"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{over['secrets'][0]}"


def test_grafana_finds_its_data_and_the_dashboard() -> None:
    sources = load("grafana/provisioning/datasources/porchlight.yaml")["datasources"]
    for source in sources:
        host, port = source["url"].removeprefix("http://").split(":")
        assert int(port) in published(host), source["name"]
    (provider,) = load("grafana/provisioning/dashboards/porchlight.yaml")["providers"]
    mounted = {volume.split(":")[1] for volume in services()["grafana"]["volumes"]}
    assert f"{provider['options']['path']}/porchlight.json" in mounted
    variables = {one["name"]: one for one in dashboard()["templating"]["list"]}
    assert variables["datasource"]["current"]["value"] in {source["uid"] for source in sources}
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(dashboard())))
    assert {name for name in used if not name.startswith("__")} == set(variables)


def test_the_settings_that_the_readme_gives_are_right() -> None:
    said: dict[str, Any] = {}
    for block in re.findall(r"```yaml\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL):
        said |= yaml.safe_load(block)
    assert set(said) == {"telemetry", "gateway"}
    for name, values in said.items():
        section = Settings.model_fields[name].annotation
        assert section is not None
        section.model_validate(values)
    endpoint, page = said["telemetry"]["otlp_endpoint"], said["telemetry"]["trace_url"]
    assert int(endpoint.rsplit(":", 1)[1]) in published("collector")
    assert int(page.split(":")[2].split("/")[0]) in published("jaeger")


def test_the_readme_names_every_file() -> None:
    text = (FOLDER / "README.md").read_text()
    for path in FOLDER.iterdir():
        assert path.name.startswith(".") or path.name == "README.md" or path.name in text, path.name


@pytest.mark.parametrize(("expression", "legend"), list(targets()))
def test_the_dashboard_asks_for_metrics_and_labels_that_there_are(expression: str, legend: str) -> None:
    names = set(re.findall(r"porchlight_\w+", expression))
    assert len(names) == 1, "one curve, one metric"
    labels = CATALOGUE[names.pop()]
    grouped = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(", ")}
    matched = {label for match in re.findall(r"\{([^}]*)\}", expression) for label in re.findall(r"(\w+)=", match)}
    assert grouped | matched <= labels
    assert "instance" in matched, "two appliances are not mixed up"
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) == grouped - {"le"} or not re.search(r"\{\{", legend)


def test_the_dashboard_has_a_place_for_every_metric() -> None:
    shown = {name for expression, _ in targets() for name in re.findall(r"porchlight_\w+", expression)}
    assert [metric.name for metric in METRICS if not shown & samples(metric).keys()] == []


def test_the_dashboards_variables_are_labels_that_there_are() -> None:
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            name, label = re.findall(r"label_values\((\w+).*, (\w+)\)", variable["definition"])[0]
            assert label in CATALOGUE[name], variable["name"]
            assert variable["query"]["query"] == variable["definition"]


def test_no_panel_lies_on_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)


def test_a_collector_gives_each_metric_the_name_that_it_has_at_metrics() -> None:
    """OpenTelemetry's rules: the unit in words; none for {words}; for 1 `ratio`, but only of a gauge."""
    wrong = {}
    for metric in METRICS:
        unit = {"s": "seconds", "By": "bytes", "1": "ratio" if metric.kind is Kind.GAUGE else ""}.get(metric.unit, "")
        assert unit or metric.unit == "1" or re.fullmatch(r"\{\w+\}", metric.unit), f"no rule here for {metric.unit}"
        name = "_".join([metric.name.replace(".", "_"), unit] if unit else [metric.name.replace(".", "_")])
        if prometheus_name(metric) != name:
            wrong[prometheus_name(metric)] = name
    assert wrong == {}


@pytest.mark.real
def test_promtool_takes_what_prometheus_is_given(tmp_path: Path) -> None:
    promtool = need_program("promtool", "prometheus")
    token = tmp_path / "token"
    token.write_text("at-least-sixteen-characters")
    for name in SCRAPES:
        checked = tmp_path / name
        checked.write_text((FOLDER / name).read_text().replace("/run/secrets/porchlight_token", str(token)))
        said = subprocess.run([promtool, "check", "config", str(checked)], capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.real
def test_promtool_takes_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    promtool = need_program("promtool", "prometheus")
    rules = [{"record": f"panel:{number}", "expr": one} for number, one in enumerate(expressions())]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    said = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    assert f"{len(rules)} rules found" in said.stdout
