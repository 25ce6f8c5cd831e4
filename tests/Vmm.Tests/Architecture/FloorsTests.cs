using System.Text.RegularExpressions;
using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Vmm.Tests.Architecture;

public sealed partial class FloorsTests
{
    private static readonly Type[] s_types = typeof(GuestMemory).Assembly.GetTypes();

    [Fact]
    public void A_room_uses_only_rooms_on_floors_below_it()
    {
        var violations = s_types
            .Where(type => Rooms.Of(type) is { } room && Rooms.Names.Contains(room))
            .SelectMany(user => TypeUses.Of(user)
                .Where(used => Rooms.Of(used) is { } room && !Rooms.MayUse(Rooms.Of(user)!, room))
                .Select(used => $"{user.FullName} ({Rooms.Of(user)}) uses {used.FullName} ({Rooms.Of(used)})"))
            .Distinct().Order().ToList();
        Assert.True(violations.Count == 0, string.Join(Environment.NewLine, violations));
    }

    [Fact]
    public void A_device_uses_what_devices_stand_on_and_no_other_device()
    {
        var violations = s_types
            .Where(type => Rooms.DeviceRoomOf(type) is not null)
            .SelectMany(user => TypeUses.Of(user)
                .Where(used => Rooms.DeviceRoomOf(used) is { } room && !Rooms.DeviceRoomMayUse(Rooms.DeviceRoomOf(user)!, room))
                .Select(used => $"{user.FullName} uses {used.FullName}"))
            .Distinct().Order().ToList();
        Assert.True(violations.Count == 0, string.Join(Environment.NewLine, violations));
        Assert.False(Rooms.DeviceRoomMayUse("Chipset.Clock", "Chipset.HighPrecisionTimer"));
        Assert.False(Rooms.DeviceRoomMayUse("Pci", "Pci.HostBridge"));
        Assert.False(Rooms.DeviceRoomMayUse("Display", "Display.Bochs"));
        Assert.True(Rooms.DeviceRoomMayUse("Display.Bochs", "Display"));
    }

    public static TheoryData<string> OrderedRooms() => [.. InnerRooms.Ordered];

    [Theory]
    [MemberData(nameof(OrderedRooms))]
    public void A_room_within_a_room_uses_only_those_on_floors_below_it(string room)
    {
        var violations = s_types
            .Select(user => (Type: user, Room: InnerRooms.Within(room, Rooms.Namespace(user))))
            .Where(user => user.Room is not null)
            .SelectMany(user => TypeUses.Of(user.Type)
                .Where(used => InnerRooms.Within(room, Rooms.Namespace(used)) is { } other && !InnerRooms.MayUse(room, user.Room!, other))
                .Select(used => $"{user.Type.FullName} uses {used.FullName}"))
            .Distinct().Order().ToList();
        Assert.True(violations.Count == 0, string.Join(Environment.NewLine, violations));
    }

    /// <summary>Constants are not in compiled code, but who names them says so.</summary>
    [Theory]
    [MemberData(nameof(OrderedRooms))]
    public void A_file_names_no_room_above_its_own(string room)
    {
        var violations = new List<string>();
        string folder = Path.Combine(Repository.Root, "src", "Vmm", room.Replace('.', '/'));
        foreach (string file in Directory.EnumerateFiles(folder, "*.cs", SearchOption.AllDirectories))
        {
            string own = Path.GetRelativePath(folder, file) is var path && path.Contains('/', StringComparison.Ordinal)
                ? path.Split('/')[0]
                : InnerRooms.Own;
            violations.AddRange(UsingLine().Matches(File.ReadAllText(file)).Select(match => InnerRooms.Within(room, match.Groups[1].Value))
                .Where(used => used is not null && !InnerRooms.MayUse(room, own, used)).Select(used => $"{path} names {used}"));
        }

        Assert.True(violations.Count == 0, string.Join(Environment.NewLine, violations));
    }

    [Fact]
    public void A_file_names_no_room_above_its_own_in_the_house()
    {
        var violations = new List<string>();
        string sources = Path.Combine(Repository.Root, "src", "Vmm");
        foreach (string room in Rooms.Names.Where(room => Directory.Exists(Path.Combine(sources, room))))
        {
            foreach (string file in Directory.EnumerateFiles(Path.Combine(sources, room), "*.cs", SearchOption.AllDirectories))
            {
                violations.AddRange(UsingLine().Matches(File.ReadAllText(file)).Select(match => match.Groups[1].Value.Split('.'))
                    .Where(space => space is ["WebVm", "Vmm", var used, ..] && !Rooms.MayUse(room, used))
                    .Select(space => $"{Path.GetRelativePath(sources, file)} names {space[2]}"));
            }
        }

        Assert.True(violations.Count == 0, string.Join(Environment.NewLine, violations));
    }

    [Theory]
    [MemberData(nameof(OrderedRooms))]
    public void Every_room_within_a_room_has_its_floor(string room) => Assert.Equal(
        InnerRooms.FloorsOf(room).Keys.Order(),
        s_types.Select(type => InnerRooms.Within(room, Rooms.Namespace(type))).OfType<string>().Distinct().Order());

    /// <summary>But Devices, which has the order of <see cref="A_device_uses_what_devices_stand_on_and_no_other_device"/>.</summary>
    [Fact]
    public void Every_room_that_has_rooms_has_an_order() => Assert.Equal(
        InnerRooms.Ordered.Order(),
        s_types.Select(Rooms.Namespace).Where(space => space?.StartsWith("WebVm.Vmm.", StringComparison.Ordinal) == true)
            .Select(space => space!["WebVm.Vmm.".Length..]).Where(room => room.Contains('.', StringComparison.Ordinal))
            .SelectMany(room => OuterRooms(room)).Where(room => room != "Devices" && !room.StartsWith("Devices.", StringComparison.Ordinal))
                .Distinct().Order());

    [Fact]
    public void An_order_within_a_room_is_one()
    {
        Assert.True(InnerRooms.MayUse("Cpu.Soft", "Decoding", "Semantics"));
        Assert.False(InnerRooms.MayUse("Cpu.Soft", "Semantics", "Decoding"));
        Assert.False(InnerRooms.MayUse("Cpu.Soft.Semantics", "Branches", "Vector"));
        Assert.True(InnerRooms.MayUse("Cpu.Soft", InnerRooms.Own, "Vcpu"));
        Assert.Equal("Semantics", InnerRooms.Within("Cpu.Soft", "WebVm.Vmm.Cpu.Soft.Semantics.Vector"));
        Assert.Null(InnerRooms.Within("Cpu.Soft", "WebVm.Vmm.Cpu.SoftServices"));
    }

    [Fact]
    public void Every_namespace_is_a_room_of_the_house()
    {
        var strangers = s_types.Where(type => type.Namespace is not null && Rooms.Of(type) is { } room && !Rooms.Names.Contains(room)
            && !type.IsDefined(typeof(System.Runtime.CompilerServices.CompilerGeneratedAttribute), false));
        Assert.Empty(strangers.Where(type => type.Namespace!.StartsWith("WebVm", StringComparison.Ordinal)).Select(type => type.FullName));
    }

    [Fact]
    public void A_use_in_a_method_body_is_seen()
    {
        Assert.Contains(typeof(WebVm.Vmm.Host.AddressReservation), TypeUses.Of(typeof(GuestMemory)));
        Assert.Contains(typeof(System.Text.StringBuilder), TypeUses.Of(typeof(BodyOnly)));
        Assert.False(Rooms.MayUse("Memory", "Cpu"));
        Assert.False(Rooms.MayUse("Memory", "Time"));
    }

    private static IEnumerable<string> OuterRooms(string room)
    {
        for (int dot = room.LastIndexOf('.'); dot > 0; dot = room.LastIndexOf('.', dot - 1))
        {
            yield return room[..dot];
        }
    }

    [GeneratedRegex(@"^using (?:static )?(WebVm\.[\w.]+);", RegexOptions.Multiline)]
    private static partial Regex UsingLine();

    private static class BodyOnly
    {
        public static int Length() => new System.Text.StringBuilder("x").Length;
    }
}
