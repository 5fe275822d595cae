"""Photos and the jobs on them: from the file to the edit, what fails, and how many there may be."""

import io

import numpy as np
from PIL import Image

from jgan.serve.device import work
from jgan.serve.web import access
from tests.serve import asking


def test_a_photo_from_its_file_to_its_edit(client, engine):
    key = asking.create(client)
    assert client.post(f"/api/sessions/{key}/apply", json={}).status_code == 400  # of no photo
    with asking.socket(client, key) as page:
        assert (
            asking.done(client, client.post(f"/api/sessions/{key}/photo", files=asking.photo()))["state"]
            == "done"
        )
        told = {}  # the newest of each kind: a page that is slow gets them in either order
        while "job" not in told or not told["session"]["drawing"]["photo"]:
            message = asking.take(page, "job", "session")
            told[message["type"]] = message
        assert told["job"]["kind"] == "project"
        opened = told["session"]["drawing"]
        assert opened["size"] == [6, 9] and opened["photo"]["name"] == "shoe.png" and opened["anchored"]
    assert Image.open(io.BytesIO(client.get(f"/api/sessions/{key}/photo").content)).size == (9, 6)
    job = asking.done(client, client.post(f"/api/sessions/{key}/apply", json={"candidate": 1}))
    assert [x.rsplit("/")[-1] for x in job["results"]] == ["photo.png", "photo.webp"]
    still, moving = (client.get(x) for x in job["results"])
    assert np.asarray(Image.open(io.BytesIO(still.content)))[0, 0].tolist() == [90, 90, 90]
    assert (
        Image.open(io.BytesIO(moving.content)).n_frames >= 1
        and moving.headers["content-type"] == "image/webp"
    )
    assert client.get(f"/api/jobs/{job['job']}/../x").status_code == 404
    # As one file, and back.
    saved = client.get(f"/api/sessions/{key}", params={"photos": True}).json()
    other = asking.create(client, saved)
    assert client.get(f"/api/sessions/{other}/photo").status_code == 200
    name = saved["ops"][0]["photo"]
    between = client.post(f"/api/sessions/{other}/between", json={"a": name, "b": name})
    assert asking.done(client, between)["results"][0].endswith("film.webp")
    assert client.post(f"/api/sessions/{key}/between", json={"a": "x", "b": name}).status_code == 404
    assert client.post(f"/api/sessions/{key}/between", json={"a": 1}).status_code == 422
    files = {"a": asking.photo()["file"], "b": asking.photo()["file"]}
    assert asking.done(client, client.post(f"/api/sessions/{other}/between", files=files))["state"] == "done"


def test_a_projection_keeps_the_values_under_which_it_was_found(client, engine):
    """Another class is set while a photo is projected; a film from the photo then needs another projection."""
    key = asking.create(client)
    give = {"type": "op", "op": {"op": "give", "name": "label", "value": "dog"}}
    engine.free.clear()
    begun = client.post(f"/api/sessions/{key}/photo", files=asking.photo())
    asking.until(lambda: engine.jobs)
    with asking.socket(client, key) as page:
        page.send_json(give)
        asking.until(lambda: engine.lives[key].session.drawing.given)
        engine.free.set()
        assert asking.done(client, begun)["state"] == "done"
        drawing = engine.lives[key].session.drawing
        assert engine.jobs[0].given == drawing.opened == () and drawing.given == (("label", "dog"),)
        saved = client.get(f"/api/sessions/{key}", params={"photos": True}).json()
        other = engine.lives[asking.create(client, saved)].session
        assert other.drawing == drawing and other.operations[-1].given == ()

        def projected():
            name, count = saved["ops"][-1]["photo"], len(engine.jobs)
            film = client.post(f"/api/sessions/{key}/between", json={"a": name, "b": name})
            assert asking.done(client, film)["state"] == "done"
            return [job.given for job in engine.jobs[count:] if isinstance(job, work.Project)]

        assert projected() == [drawing.given] * 2
        page.send_json({"type": "undo"})
        page.send_json({"type": "undo"})
        asking.until(lambda: not engine.lives[key].session.drawing.given)
        assert projected() == []


def test_jobs_that_fail_say_why(client):
    key = asking.create(client)
    address = f"/api/sessions/{key}/photo"
    assert "bad luck" in asking.done(client, client.post(address, files=asking.photo(13)))["message"]
    assert "log says more" in asking.done(client, client.post(address, files=asking.photo(14)))["message"]
    broken = {"file": ("x.png", b"PK\3\4 no picture", "image/png")}
    assert "no picture" in asking.done(client, client.post(address, files=broken))["message"]
    assert client.post(address, files=asking.photo(), params={"fit": "x"}).status_code == 400
    assert client.post(address, json={}).status_code == 400


def test_jobs_of_a_session_are_few(client, engine):
    key, other = asking.create(client), asking.create(client)
    engine.free.clear()
    begun = [client.post(f"/api/sessions/{key}/photo", files=asking.photo()) for _ in range(access.JOBS)]
    third = client.post(f"/api/sessions/{key}/photo", files=asking.photo())
    assert third.status_code == 409 and third.json()["error"]
    begun.append(client.post(f"/api/sessions/{other}/photo", files=asking.photo()))
    engine.free.set()
    assert [asking.done(client, answer)["state"] for answer in begun] == ["done"] * 3
    for _ in range(6):
        asking.done(client, client.post(f"/api/sessions/{key}/photo", files=asking.photo()))
    assert len(client.service.keeper.get(key).tasks) == access.RESULTS
    assert len(client.service.keeper.get(key).photos) == 6 + access.JOBS


def test_results_of_all_sessions_are_bounded(client, monkeypatch):
    """The oldest go first, whosoever they are; the newest stays however large it is."""
    monkeypatch.setattr(access, "ALL_RESULT_BYTES", 3)
    jobs = []
    for key in [asking.create(client) for _ in range(3)]:
        begun = client.post(f"/api/sessions/{key}/photo", files=asking.photo())
        assert asking.done(client, begun)["state"] == "done"
        jobs.append(asking.done(client, client.post(f"/api/sessions/{key}/apply", json={}))["job"])
    assert [client.get(f"/api/jobs/{job}").status_code for job in jobs] == [404, 404, 200]
    assert client.get(f"/api/jobs/{jobs[2]}/photo.png").status_code == 200


def test_photos_of_a_session_are_bounded(client, monkeypatch):
    monkeypatch.setattr(access, "PHOTO_BYTES", 2 * len(asking.photo()["file"][1]))
    key = asking.create(client)
    states = [
        asking.done(client, client.post(f"/api/sessions/{key}/photo", files=asking.photo())) for _ in range(3)
    ]
    assert [state["state"] for state in states] == ["done", "done", "failed"] and "MiB" in states[2][
        "message"
    ]
    with asking.socket(client, key) as page:
        for _ in range(2):
            page.send_json({"type": "undo"})
        asking.until(lambda: client.service.keeper.get(key).session.cursor == 0)
        page.send_json(asking.PAINT)  # now nothing leads back to the photos
        asking.until(lambda: len(client.service.keeper.get(key).session.operations) == 1)
    assert (
        asking.done(client, client.post(f"/api/sessions/{key}/photo", files=asking.photo()))["state"]
        == "done"
    )
