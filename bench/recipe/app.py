"""The recipe that Hearth grew out of: FastAPI in front of Redis.

This is the program as engineers write it after reading a tutorial on
high-concurrency services, with every part that such tutorials name: cache-aside
reads, a counter, a pipelined batch, CORS for everybody, a pool of 10,000
connections. Two programs use it: test/recipe_test.go, which holds Hearth to its
shapes, and the side-by-side comparison in bench/compare.

The tutorials' database is a function that returns the string "User 1". Here it
reads a table of real records, so that the answers can be compared byte by byte.

Settings come from the environment:

    REDIS_URL  redis://127.0.0.1:6379/0
    DATABASE   file of the SQLite database with the table `users`; without it
               there is one user, number 1
    ITEM_TTL   seconds that items of a batch live; without it they stay

Run it with Debian's python3-fastapi, python3-uvicorn and python3-redis:

    /usr/bin/python3 -m uvicorn app:app
"""

import asyncio
import json
import os
import sqlite3
from typing import Any, Dict, List, Optional

from fastapi import Depends, FastAPI, HTTPException
from fastapi.middleware.cors import CORSMiddleware
from redis.asyncio import ConnectionPool, Redis

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
DATABASE = os.environ.get("DATABASE", "")
ITEM_TTL = int(os.environ.get("ITEM_TTL", "0")) or None

app = FastAPI(title="The recipe")

app.add_middleware(
    CORSMiddleware,
    allow_origins=["*"],
    allow_methods=["*"],
    allow_headers=["*"],
)

pool = ConnectionPool.from_url(REDIS_URL, max_connections=10000, decode_responses=True)


async def get_redis():
    """A client for one request; closing it gives its connection back."""
    redis = Redis(connection_pool=pool)
    try:
        yield redis
    finally:
        await redis.close()


def get_user_from_db(user_id: int) -> Optional[Dict[str, Any]]:
    if not DATABASE:
        return {"id": 1, "name": "张三", "city": "北京"} if user_id == 1 else None
    db = sqlite3.connect(DATABASE, timeout=5)
    try:
        db.row_factory = sqlite3.Row
        row = db.execute("SELECT id, name, city FROM users WHERE id = ?", (user_id,)).fetchone()
        return dict(row) if row else None
    finally:
        db.close()


def to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@app.get("/")
async def read_root():
    return {"Hello": "World"}


@app.get("/user/{user_id}")
async def read_user(user_id: int, redis: Redis = Depends(get_redis)):
    key = f"user:{user_id}"
    cached = await redis.get(key)
    if cached is not None:
        return {"user": json.loads(cached), "source": "cache"}
    user = await asyncio.get_running_loop().run_in_executor(None, get_user_from_db, user_id)
    if user is None:
        raise HTTPException(status_code=404, detail="User not found")
    await redis.set(key, to_json(user), ex=3600)
    return {"user": user, "source": "db"}


@app.get("/concurrent_test")
async def concurrent_test(redis: Redis = Depends(get_redis)):
    await redis.incr("request_count")
    await asyncio.sleep(0.1)  # the simulated work
    count = await redis.get("request_count")
    return {"current_requests": int(count)}


@app.post("/batch_process")
async def batch_process(items: List[Dict[str, Any]], redis: Redis = Depends(get_redis)):
    async with redis.pipeline(transaction=False) as pipe:
        for item in items:
            pipe.set(f"item:{item['id']}", to_json(item), ex=ITEM_TTL)
        await pipe.execute()
    return {"status": "success"}
