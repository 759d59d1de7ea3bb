"""The supervisor: restarts always, backs off, stops in order, ends what a killed one left."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from node import child_log, cometbft, disk
from node import supervisor as supervisor_module
from node.home import Home
from node.supervisor import BackOff, Supervisor, end_left_over, remove_socket
from tests.kit.node.fake_comet import wait_until

QUICK = BackOff(first_seconds=0.02, longest_seconds=0.1)


def _supervisor(folder: Path, program: str) -> Supervisor:
    command = [sys.executable, "-c", program]
    return Supervisor(command, log_file=folder / "child.log", pid_file=folder / "child.pid", back_off=QUICK)


def test_a_child_that_ends_with_code_zero_is_started_again(tmp_path: Path) -> None:
    supervisor = _supervisor(tmp_path, "print('ran', flush=True)")
    supervisor.start()
    wait_until(lambda: supervisor.restarts >= 2)
    supervisor.stop()
    assert (tmp_path / "child.log").read_text().count("ran\n") >= 2


def test_stop_ends_the_child_and_removes_its_pid_file(tmp_path: Path) -> None:
    supervisor = _supervisor(tmp_path, "import time; print('up', flush=True); time.sleep(60)")
    supervisor.start()
    wait_until(lambda: "up" in (tmp_path / "child.log").read_text() if (tmp_path / "child.log").exists() else False)
    pid = supervisor.pid
    assert pid is not None
    assert (tmp_path / "child.pid").read_text() == f"{pid}\n"
    supervisor.stop()
    assert not Path(f"/proc/{pid}").exists()
    assert not (tmp_path / "child.pid").exists()
    assert supervisor.restarts == 0


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "_STOP_SECONDS", 0.3)
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    supervisor = _supervisor(tmp_path, program)
    supervisor.start()
    wait_until(lambda: (tmp_path / "child.log").exists() and "up" in (tmp_path / "child.log").read_text())
    supervisor.stop()
    assert supervisor.pid is None


def test_a_program_that_does_not_exist_is_tried_again_and_can_be_stopped(tmp_path: Path) -> None:
    supervisor = Supervisor(
        [str(tmp_path / "missing")], log_file=tmp_path / "log", pid_file=tmp_path / "pid", back_off=QUICK
    )
    supervisor.start()
    wait_until(lambda: supervisor.restarts >= 2)
    supervisor.stop()
    assert supervisor.pid is None


def failing(folder: Path, program: str) -> tuple[Supervisor, list[str]]:
    said: list[str] = []
    command = [sys.executable, "-c", program]
    supervisor = Supervisor(
        command, log_file=folder / "child.log", pid_file=folder / "child.pid", back_off=QUICK, on_failure=said.append
    )
    return supervisor, said


def test_a_start_error_that_does_not_pass_ends_supervision_with_its_line(tmp_path: Path) -> None:
    supervisor, said = failing(tmp_path, "import sys; print('ERROR: error in config file: bad'); sys.exit(1)")
    supervisor.start()
    wait_until(lambda: bool(said))
    supervisor.stop()
    name = Path(sys.executable).name
    assert (said, supervisor.restarts) == ([f"{name} cannot go on: ERROR: error in config file: bad"], 1)


def test_what_may_pass_is_tried_ten_times(tmp_path: Path) -> None:
    supervisor, said = failing(tmp_path, "import sys; print('ERROR: address already in use'); sys.exit(1)")
    supervisor.start()
    wait_until(lambda: bool(said), 20.0)
    supervisor.stop()
    assert supervisor.restarts == 9


def test_a_child_whose_consensus_ended_is_ended_and_given_up_when_it_makes_no_block(tmp_path: Path) -> None:
    program = "import time; print('E[x] CONSENSUS FAILURE!!! err=bad', flush=True); time.sleep(60)"
    supervisor, said = failing(tmp_path, program)
    supervisor.start()
    wait_until(lambda: bool(said))
    supervisor.stop()
    assert said[0].endswith("cannot go on: E[x] CONSENSUS FAILURE!!! err=bad")
    assert supervisor.pid is None


def test_a_full_disk_pauses_the_child_and_space_starts_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [10**9]
    monkeypatch.setattr(disk, "free_bytes", lambda _: free[0])
    monkeypatch.setattr(supervisor_module, "_SPACE_SECONDS", 0.05)
    supervisor, said = failing(tmp_path, "import time; time.sleep(60)")
    supervisor.start()
    wait_until(lambda: supervisor.pid is not None)
    free[0] = 10**6
    wait_until(lambda: bool(supervisor.paused))
    assert (supervisor.pid, supervisor.paused) == (None, disk.full_in_words(tmp_path))
    free[0] = disk.RESUME_ABOVE_BYTES
    wait_until(lambda: supervisor.pid is not None)
    assert (supervisor.paused, said) == ("", [])
    supervisor.stop()


def test_files_that_cannot_be_written_leave_the_child_running_and_watched(tmp_path: Path) -> None:
    (tmp_path / "child.log").symlink_to("/dev/full")
    (tmp_path / "child.pid").symlink_to("/dev/full")
    supervisor, said = failing(tmp_path, "import time\nwhile True: print('x', flush=True); time.sleep(0.01)")
    supervisor.start()
    wait_until(lambda: supervisor.pid is not None and supervisor._log.disk_full)
    assert supervisor._thread.is_alive()
    supervisor.stop()
    assert (supervisor.pid, said) == (None, [])


def test_a_fault_of_the_supervisor_itself_ends_the_child_and_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "_SPACE_SECONDS", 0.05)
    supervisor, said = failing(tmp_path, "import time; time.sleep(60)")
    supervisor.start()
    wait_until(lambda: supervisor.pid is not None)
    monkeypatch.setattr(disk, "free_bytes", lambda _: 1 // 0)
    wait_until(lambda: bool(said))
    supervisor.stop()
    assert said[0].endswith("failed: ZeroDivisionError: integer division or modulo by zero")
    assert supervisor.pid is None


def test_delays_double_up_to_the_longest_and_start_over_after_a_long_run() -> None:
    back_off = BackOff(first_seconds=1.0, longest_seconds=5.0, reset_seconds=30.0)
    delays: list[float] = []
    for ran in (0.1, 0.1, 0.1, 0.1, 31.0, 0.1):
        delays.append(back_off.after(delays[-1] if delays else None, ran))
    assert delays == [1.0, 2.0, 4.0, 5.0, 1.0, 2.0]


@pytest.mark.parametrize("pid_written", [True, False])
def test_a_process_left_over_from_a_killed_supervisor_is_ended(tmp_path: Path, pid_written: bool) -> None:
    command = [sys.executable, "-c", f"import time; time.sleep(60)  # {tmp_path}"]
    with subprocess.Popen(command) as left_over:
        pid_file = tmp_path / "pid"
        if pid_written:
            pid_file.write_text(f"{left_over.pid}\n")
        wait_until(lambda: b"sleep" in Path(f"/proc/{left_over.pid}/cmdline").read_bytes())
        end_left_over(pid_file, command)
        code = left_over.poll()
        left_over.kill()
        assert code == -15
    assert not pid_file.exists()


def test_a_process_that_is_not_our_command_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        pid_file = tmp_path / "pid"
        pid_file.write_text(f"{stranger.pid}\n")
        end_left_over(pid_file, ["/usr/bin/cometbft", "start"])
        time.sleep(0.1)
        assert stranger.poll() is None
        stranger.kill()


def test_a_full_log_is_moved_aside_and_appended_to_afresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_log, "MAX_LOG_BYTES", 1000)
    program = "import time\nfor n in range(1000): print('x' * 200, flush=True); time.sleep(0.02)"
    supervisor = _supervisor(tmp_path, program)
    supervisor.start()
    wait_until((tmp_path / "child.old.log").exists)
    supervisor.stop()
    assert (tmp_path / "child.old.log").stat().st_size > 1000
    assert (tmp_path / "child.log").stat().st_size < 20_000


def test_a_socket_that_the_child_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    left, file = tmp_path / "left.sock", tmp_path / "file"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(left))
    file.write_text("no socket")
    for path in (left, file, tmp_path / "none", None):
        remove_socket(path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("address", "path"),
    [("", None), ("tcp://127.0.0.1:26659", None), ("unix:///run/s.sock", Path("/run/s.sock")), ("unix://", None)],
)
def test_the_socket_of_a_remote_signer_stands_in_the_settings(address: str, path: Path | None, tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.config_folder.mkdir()
    home.comet_config_file.write_text(f'priv_validator_laddr = "{address}"\n')
    assert (cometbft.signer_address(home), cometbft.signer_socket(home)) == (address, path)
