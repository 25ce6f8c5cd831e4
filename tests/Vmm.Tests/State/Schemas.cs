using System.Reflection;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Tests.State;

/// <summary>What this build saves.</summary>
internal static class Schemas
{
    /// <summary>The schemas that the program declares, by name.</summary>
    public static IReadOnlyList<StateSchema> All { get; } =
    [
        .. typeof(StateSchema).Assembly.GetTypes().Where(type => !type.ContainsGenericParameters)
            .SelectMany(
                type => type.GetProperties(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
            .Where(property => property.PropertyType.IsAssignableTo(typeof(StateSchema)))
            .Select(property => (StateSchema)property.GetValue(null)!)
            .OrderBy(schema => schema.Name, StringComparer.Ordinal),
    ];
}
