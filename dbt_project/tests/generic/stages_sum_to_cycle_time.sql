{# Where the timeline is possible, stages leave no time out and count none twice (to a millisecond of floating point). #}
{% test stages_sum_to_cycle_time(model) %}
    select order_id
    from {{ model }}
    where
        cycle_time_days is not null
        and not has_impossible_timeline
        and abs(
            coalesce(create_to_approve_days, 0) + coalesce(approve_to_release_days, 0)
            + coalesce(release_to_ship_days, 0) + coalesce(ship_to_deliver_days, 0) - cycle_time_days
        ) > 1e-8
{% endtest %}
