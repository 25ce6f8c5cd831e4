using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;

namespace WebVm.Vmm.State;

/// <summary>
/// One step from a version of a schema to the next: changes the body of a section in place. The body may be anybody's: what it lacks is no
/// surprise.
/// </summary>
public delegate void StateUpgrade(JsonObject body);

/// <summary>
/// What is known of a kind of saved record: its name, how it is written and read, and how each earlier version becomes the next. There are
/// no versions without a way from there: the first is 1, and each upgrade makes one more.
/// </summary>
public abstract class StateSchema
{
    private readonly StateUpgrade[] _upgrades;

    private protected StateSchema(string name, ReadOnlySpan<StateUpgrade> upgrades)
    {
        Name = name;
        _upgrades = upgrades.ToArray();
    }

    /// <summary>Stable: it is in every state that was saved.</summary>
    public string Name { get; }

    /// <summary>What this build writes. It reads this and all before.</summary>
    public int Version => _upgrades.Length + 1;

    /// <summary>Of the record that this build writes.</summary>
    public abstract JsonTypeInfo Json { get; }

    /// <summary>The record of a section, brought to this build's version.</summary>
    /// <exception cref="InvalidDataException">
    /// Another schema, an unknown version, or not such a record. The message names the unit, what was found and what is known.
    /// </exception>
    public abstract object ReadRecord(StateSection section);

    public abstract StateSection WriteRecord(string unit, object record);

    /// <summary>The body in this build's version.</summary>
    private protected JsonElement Upgraded(StateSection section)
    {
        if (section.Schema != Name)
        {
            throw new InvalidDataException(
                $"The state of '{section.Unit}' follows schema '{section.Schema}'; this build reads '{Name}' there.");
        }

        if (section.Version < 1 || section.Version > Version)
        {
            string known = Version == 1 ? "version 1" : $"versions 1 to {Version}";
            throw new InvalidDataException(
                $"The state of '{section.Unit}' follows version {section.Version} of schema '{Name}'; this build reads {known}.");
        }

        if (section.Body.ValueKind != JsonValueKind.Object)
        {
            throw new InvalidDataException($"The state of '{section.Unit}' is not a JSON object.");
        }

        if (StrictJson.HasEmptyElement(section.Body))
        {
            throw new InvalidDataException($"The state of '{section.Unit}' has a list with nothing in the place of an element.");
        }

        return section.Version == Version ? section.Body : Upgrade(section);
    }

    private JsonElement Upgrade(StateSection section)
    {
        var body = JsonObject.Create(section.Body)!;
        int version = section.Version;
        try
        {
            for (; version < Version; version++)
            {
                _upgrades[version - 1](body);
            }

            return JsonSerializer.SerializeToElement(body, StateTreeJson.Default.JsonObject);
        }
        catch (Exception failure) when (failure is not OutOfMemoryException)
        {
            // Steps reach for what a sound state has. Whatever comes of one that is not says that it is not.
            string reason = failure is InvalidDataException ? $": {failure.Message}" : ".";
            throw new InvalidDataException(
                $"The state of '{section.Unit}' cannot be brought from version {version} of schema '{Name}' to {version + 1}{reason}",
                failure);
        }
    }
}

/// <inheritdoc/>
/// <typeparam name="T">An immutable record. <see cref="JsonElement"/> for one that is read by hand.</typeparam>
/// <param name="name">Stable: it is in every state that was saved.</param>
/// <param name="json">How this build's version is written and read, strictly (<see cref="StrictJson"/>).</param>
/// <param name="upgrades">From version 1 to 2, from 2 to 3, and so on; none while there has been one version.</param>
public sealed class StateSchema<T>(string name, JsonTypeInfo<T> json, params ReadOnlySpan<StateUpgrade> upgrades)
    : StateSchema(name, upgrades)
    where T : notnull
{
    public override JsonTypeInfo Json => json;

    public StateSection Write(string unit, T record) => new(unit, Name, Version, JsonSerializer.SerializeToElement(record, json));

    /// <inheritdoc cref="StateSchema.ReadRecord"/>
    public T Read(StateSection section)
    {
        var body = Upgraded(section);
        try
        {
            return body.Deserialize(json) ?? throw new InvalidDataException($"The state of '{section.Unit}' is null.");
        }
        catch (Exception exception) when (exception is JsonException or NotSupportedException or ArgumentException or FormatException
            or InvalidOperationException)
        {
            throw new InvalidDataException(
                $"The state of '{section.Unit}' is not '{Name}' version {section.Version}: {exception.Message}", exception);
        }
    }

    public override object ReadRecord(StateSection section) => Read(section);

    public override StateSection WriteRecord(string unit, object record) => Write(unit, (T)record);
}
