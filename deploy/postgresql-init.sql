CREATE DATABASE dagster OWNER ordercast;
