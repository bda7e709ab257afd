#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The devstack plug-in: the three services on a cloud that devstack builds.

function is_watcher_enabled {
    is_service_enabled watcher-api || is_service_enabled watcher-decision-engine \
        || is_service_enabled watcher-applier
}

function configure_watcher {
    sudo install -d -o "$STACK_USER" "$WATCHER_CONF_DIR" "$WATCHER_STATE_DIR"
    : >"$WATCHER_CONF"
    iniset "$WATCHER_CONF" DEFAULT debug "$ENABLE_DEBUG_LOG_LEVEL"
    iniset "$WATCHER_CONF" DEFAULT state_path "$WATCHER_STATE_DIR"
    iniset "$WATCHER_CONF" database connection "$(database_connection_url watcher)"
    iniset "$WATCHER_CONF" api host "$(ipv6_unquote "$SERVICE_LISTEN_ADDRESS")"
    iniset "$WATCHER_CONF" api port "$WATCHER_PORT"
    iniset "$WATCHER_CONF" watcher_datasources datasources "$WATCHER_DATASOURCES"
    iniset "$WATCHER_CONF" oslo_messaging_notifications driver messagingv2
    iniset_rpc_backend watcher "$WATCHER_CONF"
    configure_keystone_authtoken_middleware "$WATCHER_CONF" watcher
    configure_keystone_authtoken_middleware "$WATCHER_CONF" watcher watcher_clients_auth
    # Live migrations of a small cloud are over soon.
    iniset "$WATCHER_CONF" nova migration_interval 1
    setup_logging "$WATCHER_CONF"
}

function create_watcher_accounts {
    create_service_user watcher admin
    get_or_create_service watcher infra-optim "Resource optimization"
    get_or_create_endpoint infra-optim "$REGION_NAME" "$WATCHER_URL" "$WATCHER_URL" "$WATCHER_URL"
}

function start_watcher {
    local service
    if is_service_enabled watcher-api; then
        # On one node: another one would empty the database under the services of the first.
        recreate_database watcher
        "$WATCHER_BIN_DIR/watcher-db-manage" --config-file "$WATCHER_CONF" upgrade
    fi
    for service in watcher-api watcher-decision-engine watcher-applier; do
        if is_service_enabled "$service"; then
            run_process "$service" "$WATCHER_BIN_DIR/$service --config-file $WATCHER_CONF"
        fi
    done
    if is_service_enabled watcher-api; then
        wait_for_service 60 "$WATCHER_URL/healthcheck"
    fi
}

WATCHER_BIN_DIR=$(get_python_exec_prefix)

if is_watcher_enabled; then
    case "$1 $2" in
    "stack install")
        setup_develop "$WATCHER_DIR"
        setup_develop "$WATCHER_DIR/client"
        ;;
    "stack post-config")
        configure_watcher
        is_service_enabled keystone && create_watcher_accounts
        ;;
    "stack extra")
        start_watcher
        ;;
    esac
    if [[ $1 == unstack ]]; then
        for service in watcher-api watcher-decision-engine watcher-applier; do
            stop_process "$service"
        done
    fi
    if [[ $1 == clean ]]; then
        sudo rm -rf "$WATCHER_CONF_DIR" "$WATCHER_STATE_DIR"
    fi
fi
