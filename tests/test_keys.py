"""Key files: good ones, bad ones, and the files that the host writes."""

import os
import stat

import pytest

import benserver
from benserver.keys import read_master

BAD = {0: b"", 31: bytes(31), 33: bytes(33), 40: bytes(40), 42: b"ben2" + bytes(38)}

TRY = """
import sys
from ben import client
try:
    client("127.0.0.1", 9, keyfile=sys.argv[1])
    print("taken")
except (OSError, ValueError) as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("size", BAD)
def test_a_bad_key_file_on_the_board(board, size):
    (board.folder / "bad.sec").write_bytes(BAD[size])
    assert board.run(TRY, "bad.sec") == "ValueError bad.sec is no key file\n"


def test_an_absent_key_file_on_the_board(board):
    assert "Error" in board.run(TRY, "none.sec").split()[0]


@pytest.mark.parametrize("size", BAD)
def test_a_bad_key_file_on_the_host(in_folder, size):
    (in_folder / "bad.sec").write_bytes(BAD[size])
    with pytest.raises(ValueError, match="bad.sec is no key file"):
        benserver.Server("127.0.0.1", 0, "bad.sec")
    with pytest.raises(ValueError, match="bad.sec is no key file"):
        benserver.device_key("bad.sec", 1, "device.sec")


def test_a_device_file_is_for_a_board_only(in_folder):
    benserver.generate_new_secret("key.sec")
    benserver.device_key("key.sec", 1, "device.sec")
    with pytest.raises(ValueError, match="device.sec is the key of device 00000001 alone"):
        benserver.Server("127.0.0.1", 0, "device.sec")
    with pytest.raises(ValueError, match="device.sec is the key of device 00000001 alone"):
        benserver.device_key("device.sec", 2, "other.sec")


def test_a_device_file_is_for_its_device_only(board):
    benserver.generate_new_secret(board.folder / "key.sec")
    benserver.device_key(board.folder / "key.sec", 1, board.folder / "device.sec")
    script = TRY.replace("keyfile=sys.argv[1]", "keyfile=sys.argv[1], device=int(sys.argv[2])")
    assert board.run(script, "device.sec", 1) == "taken\n"
    assert board.run(script, "device.sec", 2) == "ValueError device.sec is another device's\n"


def test_key_files_are_their_owners_and_never_replaced_unasked(in_folder):
    benserver.generate_new_secret("key.sec")
    benserver.device_key("key.sec", "0000000a", "device.sec")
    for name, size in (("key.sec", 32), ("device.sec", 40)):
        assert stat.S_IMODE(os.stat(name).st_mode) == 0o600
        assert os.path.getsize(name) == size
    before = read_master("key.sec")
    with pytest.raises(FileExistsError):
        benserver.generate_new_secret("key.sec")
    with pytest.raises(FileExistsError):
        benserver.device_key("key.sec", 11, "device.sec")
    assert read_master("key.sec") == before
    os.chmod("key.sec", 0o644)
    benserver.generate_new_secret("key.sec", overwrite=True)
    assert read_master("key.sec") != before
    assert stat.S_IMODE(os.stat("key.sec").st_mode) == 0o600


def test_a_key_is_replaced_by_a_new_file(in_folder):
    benserver.generate_new_secret("key.sec")
    os.symlink("key.sec", "link.sec")
    with open("key.sec", "rb") as held:
        benserver.generate_new_secret("link.sec", overwrite=True)
        benserver.generate_new_secret("key.sec", overwrite=True)
        assert held.read() != (in_folder / "key.sec").read_bytes()
    assert not os.path.islink("link.sec") and sorted(os.listdir()) == ["key.sec", "link.sec"]


def test_the_shared_key_is_not_replaced_by_a_devices(in_folder):
    benserver.generate_new_secret("key.sec")
    with pytest.raises(ValueError, match="the shared key file itself"):
        benserver.device_key("key.sec", 1, "key.sec", overwrite=True)
    assert os.path.getsize("key.sec") == 32


@pytest.mark.parametrize("device", [-1, 1 << 32, "1", "0000000g", "000000001"])
def test_an_id_that_is_none(in_folder, device):
    benserver.generate_new_secret("key.sec")
    with pytest.raises(ValueError, match="device"):
        benserver.device_key("key.sec", device, "device.sec")
    assert not os.path.exists("device.sec")


ARGUMENTS = """
from ben import client
for options in (
    {"timeout": 0}, {"timeout": -1}, {"timeout": 400000}, {"buffersize": 0}, {"buffersize": 1 << 21},
    {"channel": 4}, {"channel": -1}, {"chunk": 0}, {"chunk": 63}, {"chunk": 100}, {"chunk": 1184}, {"chunk": 3072},
    {"device": -1}, {"device": 1 << 32}, {"session": bytes(9)}, {"session": bytes(10)}, {"session": bytes(11)},
):
    try:
        client("127.0.0.1", 9, **options)
        print("taken", options)
    except ValueError as error:
        print("ValueError", error)
"""


def test_wrong_arguments_of_the_client(board):
    benserver.generate_new_secret(board.folder / "key.sec")
    lines = board.run(ARGUMENTS).splitlines()
    names = ["timeout"] * 3 + ["buffersize"] * 2 + ["channel"] * 2 + ["chunk"] * 5 + ["device"] * 2
    names += ["session", "chunk", "session"]
    assert [line.split()[:2] for line in lines] == [["ValueError", name + ":"] for name in names]


def test_wrong_arguments_of_the_server(in_folder):
    benserver.generate_new_secret("key.sec")
    for arguments in ({"port": 65536}, {"timeout": 0}, {"buffersize": 0}):
        with pytest.raises(ValueError, match="port|above 0"):
            benserver.Server(**{"localip": "127.0.0.1", "port": 0, **arguments})
    with pytest.raises(ValueError, match="ids, as int"):
        benserver.Server("127.0.0.1", 0, devices={"00000001": "kitchen"})
    server = benserver.Server("127.0.0.1", 0)
    for name, fn, options in (
        ("", print, {}),
        ("x" * 256, print, {}),
        ("x", 5, {}),
        ("x", print, {"fresh": -1}),
    ):
        with pytest.raises(ValueError):
            server.add_action_handler(name, fn, **options)
    with pytest.raises(ValueError, match="only a key makes a request fresh"):
        server.add_action_handler("lock", print, fresh=1, insecure=True)
