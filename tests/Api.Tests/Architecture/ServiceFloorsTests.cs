using WebVm.Api.Hosting;
using Xunit;

namespace WebVm.Api.Tests.Architecture;

/// <summary>The service's rooms are the folders of src/Api; a room uses only rooms on floors below it.</summary>
public sealed class ServiceFloorsTests
{
    private const string House = "WebVm.Api.";

    private static readonly string[][] s_floors =
    [
        ["Settings"],
        ["Conventions", "Persistence"],
        ["Identity"],
        ["Audit", "Events"],
        ["Operations"],
        ["Idempotency", "Images"],
        ["Runs"],
        ["Vms", "Console"],
        ["Snapshots", "Metrics"],
        ["Hosts"],
        ["Support", "Retention"],
        ["Hosting"],
    ];

    private static readonly Type[] s_types = [.. typeof(ServiceSetup).Assembly.GetTypes()
        .Where(type => type.Namespace?.StartsWith(House, StringComparison.Ordinal) == true)];

    [Fact]
    public void A_room_of_the_service_uses_only_rooms_on_floors_below_it()
    {
        var violations = s_types
            .SelectMany(
                user => TypeUses.Of(user)
                    .Where(used => used.Namespace?.StartsWith(House, StringComparison.Ordinal) == true
                        && !MayUse(RoomOf(user), RoomOf(used)))
                .Select(used => $"{user.FullName} uses {used.FullName}"))
            .Distinct().Order().ToList();
        Assert.True(violations.Count == 0, string.Join(Environment.NewLine, violations));
        Assert.False(MayUse("Vms", "Console"));
        Assert.False(MayUse("Images", "Vms"));
        Assert.False(MayUse("Runs", "Vms"));
        Assert.True(MayUse("Vms", "Runs"));
    }

    [Fact]
    public void Every_namespace_is_a_room_of_the_service() =>
        Assert.Empty(s_types.Select(RoomOf).Distinct().Except(s_floors.SelectMany(floor => floor)));

    private static string RoomOf(Type type) => type.Namespace![House.Length..].Split('.')[0];

    private static bool MayUse(string user, string used) => user == used || FloorOf(used) < FloorOf(user);

    private static int FloorOf(string room) => Array.FindIndex(s_floors, floor => floor.Contains(room));
}
