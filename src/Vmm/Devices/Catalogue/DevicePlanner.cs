using System.Text.Json;
using WebVm.Vmm.Settings;

namespace WebVm.Vmm.Devices.Catalogue;

/// <summary>Checks the devices of one spec and gives places to those that do not say where they are.</summary>
internal sealed class DevicePlanner(DeviceCatalogue catalogue, List<SpecFault> faults)
{
    private static readonly JsonElement s_noSettings = JsonElement.Parse("{}");

    private readonly OrderedDictionary<string, DeviceKind> _kinds = new(StringComparer.Ordinal);
    private readonly List<(Claim Claim, string Owner)> _taken = [];

    public DevicePlan Plan(IReadOnlyList<DeviceEntry> entries)
    {
        var known = entries.Where(Identify).ToList();
        var read = known.Select(entry => (Entry: entry, Settings: ReadSettings(entry))).Where(pair => pair.Settings is not null).ToList();
        var planned = new Dictionary<string, PlannedDevice>(StringComparer.Ordinal);
        TakeOwnPlaces();
        // Those who say where they are go first, so that nobody is given a place that another names.
        foreach (var (entry, settings) in read.OrderBy(pair => NamesPlace(pair.Entry) ? 0 : 1))
        {
            if (Place(entry, settings!) is { } at)
            {
                planned.Add(entry.Device.Id, Complete(entry, at, settings!));
            }
        }

        RefuseCircles(known, planned);
        return new DevicePlan([.. known.Where(entry => planned.ContainsKey(entry.Device.Id)).Select(entry => planned[entry.Device.Id])]);
    }

    /// <inheritdoc cref="DeviceCatalogue.PlanOneMore"/>
    public PlannedDevice? PlanOneMore(DevicePlan present, DeviceEntry entry, Func<DevicePlace, string?> refusalOf)
    {
        foreach (var device in present.Devices)
        {
            _kinds.Add(device.Id, device.Kind);
            _taken.AddRange(ClaimsOf(device.Kind, device.At, device.Settings).Select(claim => (claim, device.Id)));
        }

        TakeOwnPlaces();
        return Identify(entry) && ReadSettings(entry) is { } settings && PlaceInSlot(entry, settings, refusalOf) is { } at
            ? Complete(entry, at, settings)
            : null;
    }

    private void TakeOwnPlaces()
    {
        foreach (var (id, kind) in _kinds)
        {
            _taken.AddRange(kind.OwnPlaces.SelectMany(place => kind.Offers?.ClaimsOf(new DevicePlace(id, place)) ?? [])
                .Select(claim => (claim, id)));
        }
    }

    private bool NamesPlace(DeviceEntry entry) => entry.Device.At is not null || _kinds[entry.Device.Id].Placement is null;

    private bool Identify(DeviceEntry entry)
    {
        var (id, name) = (entry.Device.Id, entry.Device.Kind);
        if (!DeviceSpec.IsId(id))
        {
            faults.Add(
                new(entry.PointerOf(
                    "id"), $"'{id}'; an id is 1 to {DeviceSpec.MaximumIdLength} of lower-case letters, digits, '-', '_', '.', and begins with a letter"));
            return false;
        }

        if (catalogue.Find(name) is not { } kind)
        {
            faults.Add(
                new(entry.PointerOf("kind"), $"'{name}'; there are {string.Join(", ", catalogue.Kinds.Select(known => known.Name))}"));
            return false;
        }

        if (!_kinds.TryAdd(id, kind))
        {
            faults.Add(new(entry.PointerOf("id"), $"there is a device '{id}' already"));
            return false;
        }

        return true;
    }

    private object? ReadSettings(DeviceEntry entry)
    {
        int before = faults.Count;
        var kind = _kinds[entry.Device.Id];
        object settings = kind.Read(new SpecObject(entry.Device.Settings ?? s_noSettings, entry.SettingsPointer, faults));
        if (faults.Count == before)
        {
            faults.AddRange(kind.Check(settings).Select(wrong => new SpecFault($"{entry.SettingsPointer}/{wrong.Setting}", wrong.Message)));
        }

        return faults.Count == before ? settings : null;
    }

    /// <summary>The device's place, with all that it takes there taken. Null, and a fault, when it cannot be there.</summary>
    private DevicePlace? Place(DeviceEntry entry, object settings)
    {
        string id = entry.Device.Id;
        var kind = _kinds[id];
        if (kind.Placement is not { } placement)
        {
            if (entry.Device.At is not null)
            {
                faults.Add(new(entry.PointerOf("at"), $"a {kind.Name} has one place, which is not said"));
                return null;
            }

            return Take(entry, default, settings, entry.Pointer) ? default(DevicePlace) : null;
        }

        if (entry.Device.At is { } text)
        {
            return Parse(entry, placement.Connection, text) is { } place && Take(entry, place, settings, entry.PointerOf("at"))
                ? place
                : null;
        }

        if (HostOf(placement.Connection) is not { } bus)
        {
            faults.Add(
                new(entry.Pointer, $"a {kind.Name} is connected by {placement.Connection.Name}, which no device of the machine offers"));
            return null;
        }

        foreach (ulong address in placement.Places)
        {
            var candidate = new DevicePlace(bus, address);
            if (ClaimsOf(kind, candidate, settings).All(claim => ClashOf(claim) is null))
            {
                _ = Take(entry, candidate, settings, entry.Pointer);
                return candidate;
            }
        }

        faults.Add(
            new(entry.Pointer, placement.Places.Any()
                ? $"no place for a {kind.Name} is free"
                : $"where it is has to be said, such as \"at\": \"{placement.Connection.Example}\""));
        return null;
    }

    /// <summary>As <see cref="Place"/>, for a machine that runs.</summary>
    private DevicePlace? PlaceInSlot(DeviceEntry entry, object settings, Func<DevicePlace, string?> refusalOf)
    {
        string kind = entry.Device.Kind;
        if (_kinds[entry.Device.Id].Placement is not { Connection: { IsOfMachine: false } connection })
        {
            faults.Add(new(entry.PointerOf("kind"), $"a {kind} is in no slot, and cannot come while the machine runs"));
            return null;
        }

        if (entry.Device.At is { } text)
        {
            if (Parse(entry, connection, text) is not { } named)
            {
                return null;
            }

            if (refusalOf(named) is { } refusal)
            {
                faults.Add(new(entry.PointerOf("at"), refusal));
                return null;
            }

            return Take(entry, named, settings, entry.PointerOf("at")) ? named : null;
        }

        foreach (var place in PlacesFor(connection))
        {
            if (refusalOf(place) is null)
            {
                return Take(entry, place, settings, entry.Pointer) ? place : null;
            }
        }

        faults.Add(new(entry.Pointer, $"no slot is free in which a {kind} can be plugged while the machine runs"));
        return null;
    }

    /// <summary>All places that devices of the machine offer for such a connection, taken or not.</summary>
    private IEnumerable<DevicePlace> PlacesFor(Connection connection) =>
        from host in _kinds
        where host.Value.Offers?.Takes(connection) == true
        from address in connection.Places
        where host.Value.Offers!.Has(address)
        select new DevicePlace(host.Key, address);

    private DevicePlace? Parse(DeviceEntry entry, Connection connection, string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        string bus = colon < 0 ? "" : text[..colon];
        if (colon < 0 || !connection.TryParse(text[(colon + 1)..], out ulong address))
        {
            return Fault($"'{text}' is no place such as {connection.Example}");
        }

        if (connection.IsOfMachine)
        {
            return bus == connection.Name ? new DevicePlace(bus, address) : Fault($"'{text}' is no place such as {connection.Example}");
        }

        return !_kinds.TryGetValue(bus, out var host) ? Fault($"there is no device '{bus}'")
            : host.Offers?.Name != connection.Name ? Fault($"'{bus}' is a {host.Name}, to which nothing is connected by {connection.Name}")
            : !host.Offers.Takes(connection) ? Fault($"a {entry.Device.Kind} cannot be connected to '{bus}', which is a {host.Name}")
            : !host.Offers.Has(address) ? Fault($"'{bus}' is a {host.Name}, which has no place {text[(colon + 1)..]}")
            : new DevicePlace(bus, address);

        DevicePlace? Fault(string message)
        {
            faults.Add(new(entry.PointerOf("at"), message));
            return null;
        }
    }

    private string? HostOf(Connection connection) => connection.IsOfMachine ? connection.Name
        : _kinds.Where(device => device.Value.Offers is { IsForAll: true } offered && offered.Takes(connection))
            .Select(device => device.Key)
            .FirstOrDefault();

    private static List<Claim> ClaimsOf(DeviceKind kind, DevicePlace at, object settings) =>
        [.. kind.Placement?.Connection.ClaimsOf(at) ?? [], .. kind.Claims(at, settings)];

    private (Claim Claim, string Owner)? ClashOf(Claim claim)
    {
        foreach (var taken in _taken)
        {
            if (taken.Claim.Clashes(claim))
            {
                return taken;
            }
        }

        return null;
    }

    private bool Take(DeviceEntry entry, DevicePlace at, object settings, string pointer)
    {
        var claims = ClaimsOf(_kinds[entry.Device.Id], at, settings);
        bool free = true;
        foreach (var claim in claims)
        {
            if (claim.First + claim.Count > claim.Limit)
            {
                faults.Add(new(pointer, $"{claim} are not all there"));
                free = false;
            }
            else if (ClashOf(claim) is { } clash)
            {
                faults.Add(
                    new(claim.Setting is { } setting
                        ? $"{entry.SettingsPointer}/{setting}"
                        : pointer, $"'{clash.Owner}' has {clash.Claim} already"));
                free = false;
            }
        }

        _taken.AddRange(claims.Select(claim => (claim, entry.Device.Id)));
        return free;
    }

    private PlannedDevice Complete(DeviceEntry entry, DevicePlace at, object settings)
    {
        var kind = _kinds[entry.Device.Id];
        var written = kind.Write(settings);
        return new PlannedDevice(kind, at, settings, entry.Device with
        {
            At = kind.Placement is { } placement ? $"{at.Bus}:{placement.Connection.Format(at.Address)}" : null,
            Settings = written.Count == 0 ? null : JsonElement.Parse(written.ToJsonString()),
        });
    }

    private void RefuseCircles(List<DeviceEntry> entries, Dictionary<string, PlannedDevice> planned)
    {
        foreach (var entry in entries)
        {
            string id = entry.Device.Id;
            string? host = planned.GetValueOrDefault(id)?.Host;
            for (int steps = 0; host is not null && host != id && steps < entries.Count; steps++)
            {
                host = planned.GetValueOrDefault(host)?.Host;
            }

            if (host == id)
            {
                faults.Add(new(entry.PointerOf("at"), "it would be connected to itself"));
            }
        }
    }
}
