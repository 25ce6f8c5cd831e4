using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Vmm.Tests.Architecture;

public sealed class FloorsTests
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

    private static class BodyOnly
    {
        public static int Length() => new System.Text.StringBuilder("x").Length;
    }
}
