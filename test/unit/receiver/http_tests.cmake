spangate_unit(receiver/http DEPENDS receiver)
