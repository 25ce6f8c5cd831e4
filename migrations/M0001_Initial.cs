using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;

namespace WebVm.Api.Persistence.Migrations;

/// <summary>The first schema. A test compares the schema that the migrations make with the one that the model describes.</summary>
[DbContext(typeof(WebVmDbContext))]
[Migration("0001_Initial")]
public sealed class M0001_Initial : Migration
{
    protected override void Up(MigrationBuilder migrationBuilder)
    {
        migrationBuilder.Sql(
            """
            CREATE TABLE audit (
                id bigint GENERATED ALWAYS AS IDENTITY,
                at timestamp with time zone NOT NULL,
                actor text NOT NULL,
                action text NOT NULL,
                target text NOT NULL,
                status integer NOT NULL,
                address text,
                trace_id text,
                CONSTRAINT pk_audit PRIMARY KEY (id)
            );

            CREATE TABLE events (
                id bigint GENERATED ALWAYS AS IDENTITY,
                type text NOT NULL,
                subject text NOT NULL,
                vm_id uuid,
                message text,
                data jsonb NOT NULL,
                at timestamp with time zone NOT NULL,
                CONSTRAINT pk_events PRIMARY KEY (id)
            );

            CREATE TABLE idempotency (
                key character varying(255) NOT NULL,
                actor text NOT NULL,
                request_hash bytea NOT NULL,
                status integer,
                location text,
                content_type text,
                body bytea,
                created_at timestamp with time zone NOT NULL,
                CONSTRAINT pk_idempotency PRIMARY KEY (actor, key)
            );

            CREATE TABLE images (
                id uuid NOT NULL,
                name character varying(63) COLLATE "C" NOT NULL,
                kind text NOT NULL,
                state text NOT NULL,
                description text NOT NULL,
                bytes bigint NOT NULL,
                received_bytes bigint NOT NULL,
                sha256 text,
                built_in boolean NOT NULL,
                source_url text,
                error text,
                created_at timestamp with time zone NOT NULL,
                revision bigint NOT NULL,
                CONSTRAINT pk_images PRIMARY KEY (id)
            );

            CREATE TABLE operations (
                id uuid NOT NULL,
                kind text NOT NULL,
                target text NOT NULL,
                vm_id uuid,
                actor text,
                state text NOT NULL,
                progress integer NOT NULL,
                message text,
                cancel_requested boolean NOT NULL,
                input jsonb NOT NULL,
                result jsonb,
                error text,
                created_at timestamp with time zone NOT NULL,
                started_at timestamp with time zone,
                finished_at timestamp with time zone,
                CONSTRAINT pk_operations PRIMARY KEY (id)
            );

            CREATE TABLE users (
                id uuid NOT NULL,
                name character varying(63) NOT NULL,
                role text NOT NULL,
                password_hash text,
                security_stamp text NOT NULL,
                disabled boolean NOT NULL,
                created_at timestamp with time zone NOT NULL,
                revision bigint NOT NULL,
                CONSTRAINT pk_users PRIMARY KEY (id)
            );

            CREATE TABLE vms (
                id uuid NOT NULL,
                name character varying(63) COLLATE "C" NOT NULL,
                description text NOT NULL,
                labels jsonb NOT NULL,
                configuration jsonb NOT NULL,
                running_configuration jsonb,
                desired text NOT NULL,
                desired_generation bigint NOT NULL,
                observed text NOT NULL,
                observed_reason text,
                run_id text,
                restart_count integer NOT NULL,
                restart_at timestamp with time zone,
                started_at timestamp with time zone,
                deleting boolean NOT NULL,
                created_at timestamp with time zone NOT NULL,
                updated_at timestamp with time zone NOT NULL,
                revision bigint NOT NULL,
                CONSTRAINT pk_vms PRIMARY KEY (id)
            );

            CREATE TABLE tokens (
                id uuid NOT NULL,
                name character varying(63) NOT NULL,
                user_id uuid NOT NULL,
                secret_hash bytea NOT NULL,
                scopes text[] NOT NULL,
                expires_at timestamp with time zone,
                last_used_at timestamp with time zone,
                created_at timestamp with time zone NOT NULL,
                CONSTRAINT pk_tokens PRIMARY KEY (id),
                CONSTRAINT fk_tokens_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
            );

            CREATE TABLE snapshots (
                id uuid NOT NULL,
                vm_id uuid NOT NULL,
                name character varying(63) NOT NULL,
                description text NOT NULL,
                configuration jsonb NOT NULL,
                complete boolean NOT NULL,
                bytes bigint NOT NULL,
                created_at timestamp with time zone NOT NULL,
                CONSTRAINT pk_snapshots PRIMARY KEY (id),
                CONSTRAINT fk_snapshots_vm_id FOREIGN KEY (vm_id) REFERENCES vms (id) ON DELETE CASCADE
            );
            CREATE INDEX ix_audit_at ON audit (at);
            CREATE INDEX ix_events_at ON events (at);
            CREATE INDEX ix_events_vm_id ON events (vm_id);
            CREATE INDEX ix_idempotency_created_at ON idempotency (created_at);
            CREATE UNIQUE INDEX ix_images_name ON images (name);
            CREATE INDEX ix_operations_state ON operations (state);
            CREATE INDEX ix_operations_vm_id ON operations (vm_id);
            CREATE UNIQUE INDEX ix_snapshots_vm_id_name ON snapshots (vm_id, name);
            CREATE UNIQUE INDEX ix_tokens_secret_hash ON tokens (secret_hash);
            CREATE INDEX ix_tokens_user_id ON tokens (user_id);
            CREATE UNIQUE INDEX ix_users_name ON users (name);
            CREATE UNIQUE INDEX ix_vms_name ON vms (name);
            """);

        // Clients resume the event stream by id, so ids must become visible in their order. The lock is taken before the row's id
        // is drawn and held until the transaction ends; listeners are woken at the same moment.
        migrationBuilder.Sql(
            """
            CREATE FUNCTION webvm_events_in_order() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM pg_advisory_xact_lock(hashtext('webvm_events'));
                RETURN NULL;
            END $$;
            CREATE FUNCTION webvm_events_notify() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM pg_notify('webvm_events', '');
                RETURN NULL;
            END $$;
            CREATE TRIGGER events_in_order BEFORE INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION webvm_events_in_order();
            CREATE TRIGGER events_notify AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION webvm_events_notify();
            """);
    }

    protected override void Down(MigrationBuilder migrationBuilder) =>
        throw new NotSupportedException("The first schema has nothing before it to go back to.");
}
